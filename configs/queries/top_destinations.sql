-- The twenty addresses that most octets were sent to within a minute. One that leads all of a
-- sudden, from many sources, is being attacked or has become popular.
-- early: 10s
SELECT
    dst_ip,
    approx_distinct(src_ip) AS sources,
    count(*) AS flows,
    sum(scaled_packets) AS packets,
    sum(scaled_octets) AS octets
FROM flows
GROUP BY dst_ip, tumble('60 seconds')
ORDER BY octets DESC
LIMIT 20;
