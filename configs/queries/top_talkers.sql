-- The twenty addresses that sent most octets within a minute. Look here first when a link is full;
-- what two exporters saw counts twice.
-- early: 10s
SELECT
    src_ip,
    count(*) AS flows,
    sum(scaled_packets) AS packets,
    sum(scaled_octets) AS octets
FROM flows
GROUP BY src_ip, tumble('60 seconds')
ORDER BY octets DESC
LIMIT 20;
