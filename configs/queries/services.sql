-- The twenty services with most octets within a minute, by the lower port of each flow: what was
-- sent to that port, and what came from it. One that nobody knows is worth a question.
-- early: 10s
SELECT
    protocol,
    least(src_port, dst_port) AS port,
    service(protocol, least(src_port, dst_port)) AS service,
    coalesce(sum(scaled_octets) FILTER (WHERE dst_port <= src_port), 0) AS octets_to,
    coalesce(sum(scaled_octets) FILTER (WHERE dst_port > src_port), 0) AS octets_from,
    sum(scaled_octets) AS octets
FROM flows
WHERE protocol IN (6, 17, 132) AND src_port IS NOT NULL AND dst_port IS NOT NULL
GROUP BY protocol, least(src_port, dst_port), tumble('60 seconds')
ORDER BY octets DESC
LIMIT 20;
