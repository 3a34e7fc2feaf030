-- No aggregate: rows in the order of the capture, until there are enough.
SELECT ts, src_ip, dst_ip, protocol, src_port, dst_port, tcp_flags, octets FROM packets WHERE tcp_flags = 2 LIMIT 8
