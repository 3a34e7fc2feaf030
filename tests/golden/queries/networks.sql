-- Traffic between networks: IPv4 by /16, IPv6 by /48.
SELECT network(src_ip, 16, 48) AS src_net, network(dst_ip, 16, 48) AS dst_net, count(*) AS packets, sum(octets) AS octets
FROM packets WHERE src_ip IS NOT NULL
GROUP BY network(src_ip, 16, 48), network(dst_ip, 16, 48)
ORDER BY octets DESC, src_net, dst_net LIMIT 20
