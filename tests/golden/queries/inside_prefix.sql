-- Who in 10.0.0.0/8 speaks to the outside over TLS.
SELECT src_ip, count(*) AS packets FROM packets
WHERE cidr(src_ip, '10.0.0.0/8') AND NOT cidr(dst_ip, '10.0.0.0/8') AND dst_port = 443
GROUP BY src_ip ORDER BY packets DESC, src_ip LIMIT 10
