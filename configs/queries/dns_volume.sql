-- How much each name server, which is whoever uses port 53, is asked and answers within a minute.
-- Answers far greater than questions are amplification, questions without answers a server that is
-- down; a server that nobody knows, with much traffic of few clients, may be a tunnel.
SELECT
    CASE WHEN dst_port = 53 THEN dst_ip ELSE src_ip END AS server,
    approx_distinct(CASE WHEN dst_port = 53 THEN src_ip ELSE dst_ip END) AS clients,
    count(*) FILTER (WHERE dst_port = 53) AS question_flows,
    count(*) FILTER (WHERE dst_port <> 53) AS answer_flows,
    coalesce(sum(scaled_octets) FILTER (WHERE dst_port = 53), 0) AS question_octets,
    coalesce(sum(scaled_octets) FILTER (WHERE dst_port <> 53), 0) AS answer_octets,
    sum(scaled_octets) AS octets
FROM flows
WHERE protocol IN (6, 17) AND (src_port = 53 OR dst_port = 53)
GROUP BY CASE WHEN dst_port = 53 THEN dst_ip ELSE src_ip END, tumble('60 seconds')
ORDER BY octets DESC
LIMIT 50;
