-- Sources of at least 50 one-packet flows to distinct destinations within a minute.
SELECT src_ip, count(*) AS probes FROM
  (SELECT src_ip, dst_ip FROM flows WHERE packets = 1 GROUP BY src_ip, dst_ip, tumble('60 seconds'))
GROUP BY src_ip HAVING count(*) >= 50
