-- The twenty sources that sent to the greatest number of distinct destinations within a minute,
-- which is approximate, to 1 %. Servers lead; a client among them scans, or sends spam.
SELECT src_ip, approx_distinct(dst_ip) AS destinations, count(*) AS flows
FROM flows
GROUP BY src_ip, tumble('60 seconds')
ORDER BY destinations DESC
LIMIT 20;
