-- What the traffic of each minute consists of, by IP protocol: 6 is TCP, 17 UDP, 1 and 58 ICMP,
-- 47 GRE, 50 ESP. A share that jumps, of UDP or ICMP above all, is often an attack or a loop.
-- early: 10s
SELECT
    protocol,
    count(*) AS flows,
    sum(scaled_packets) AS packets,
    sum(scaled_octets) AS octets
FROM flows
GROUP BY protocol, tumble('60 seconds')
ORDER BY octets DESC;
