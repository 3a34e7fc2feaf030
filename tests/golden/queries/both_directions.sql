-- A union of two aggregates, summed again.
SELECT ip, sum(octets) AS octets FROM
  (SELECT src_ip AS ip, sum(octets) AS octets FROM packets WHERE src_ip IS NOT NULL GROUP BY src_ip, tumble('60 seconds')
   UNION ALL
   SELECT dst_ip AS ip, sum(octets) AS octets FROM packets WHERE dst_ip IS NOT NULL GROUP BY dst_ip, tumble('60 seconds'))
GROUP BY ip ORDER BY octets DESC, ip LIMIT 5
