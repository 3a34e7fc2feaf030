-- Distinct destinations of a source, exactly and about.
SELECT src_ip, count(DISTINCT dst_ip) AS destinations FROM packets WHERE src_ip IS NOT NULL
GROUP BY src_ip, tumble('60 seconds')
ORDER BY destinations DESC, src_ip LIMIT 3
