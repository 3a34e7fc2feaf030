-- Sources that sent one-packet flows to at least 500 distinct destinations within a minute: they
-- scan, or are infected. Resolvers look alike, and in sampled exports so do all busy hosts.
-- early: 10s
SELECT src_ip, count(*) AS probes
FROM (
    SELECT src_ip, dst_ip
    FROM flows
    WHERE packets = 1
    GROUP BY src_ip, dst_ip, tumble('60 seconds')
)
GROUP BY src_ip
HAVING count(*) >= 500
ORDER BY probes DESC;
