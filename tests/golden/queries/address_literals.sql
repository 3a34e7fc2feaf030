-- Text is an address where an address is asked for; IPv4 and IPv6 share a column.
SELECT dst_ip, count(*) AS packets FROM packets
WHERE src_ip IN ('10.20.0.40', '10.20.1.3') OR dst_ip = '2001:db8:20::35' OR dst_ip = ip('10.20.0.9')
GROUP BY dst_ip
