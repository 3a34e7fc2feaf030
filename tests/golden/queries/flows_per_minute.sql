-- Flow records by the minute of their end.
SELECT protocol, count(*) AS flows, sum(packets) AS packets FROM flows GROUP BY protocol, tumble('60 seconds')
