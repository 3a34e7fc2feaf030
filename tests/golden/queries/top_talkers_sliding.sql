-- The three sources that sent most in each half minute, every ten seconds.
SELECT src_ip, sum(octets) AS octets FROM packets
WHERE src_ip IS NOT NULL
GROUP BY src_ip, hop('10 seconds', '30 seconds')
ORDER BY octets DESC LIMIT 3
