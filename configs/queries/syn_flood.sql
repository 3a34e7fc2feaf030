-- Destinations of at least 500 TCP flows within a minute that have a SYN and no ACK, so were never
-- answered. Many sources and few ports are a flood, one source and many ports a scan; in sampled
-- exports, and of exporters that join no flags, busy servers look alike.
-- early: 10s
SELECT
    dst_ip,
    count(*) AS half_open_flows,
    approx_distinct(src_ip) AS sources,
    approx_distinct(dst_port) AS ports
FROM flows
WHERE protocol = 6 AND tcp_flags & 18 = 2
GROUP BY dst_ip, tumble('60 seconds')
HAVING count(*) >= 500
ORDER BY half_open_flows DESC;
