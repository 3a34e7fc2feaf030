-- The same from a sketch.
SELECT src_ip, approx_distinct(dst_ip) AS destinations FROM packets WHERE src_ip IS NOT NULL
GROUP BY src_ip, tumble('60 seconds')
ORDER BY destinations DESC, src_ip LIMIT 3
