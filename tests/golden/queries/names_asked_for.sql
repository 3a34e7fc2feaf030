-- Who asks which name server.
SELECT src_ip, dst_ip, count(*) AS questions FROM packets WHERE dst_port = 53
GROUP BY src_ip, dst_ip ORDER BY questions DESC, src_ip, dst_ip LIMIT 5
