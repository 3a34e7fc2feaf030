-- The flows with most octets, one row each.
SELECT start_time, end_time, src_ip, dst_ip, src_port, dst_port, protocol, tcp_flags, packets, octets, flow_end_reason
FROM (SELECT start_time, end_time, src_ip, dst_ip, src_port, dst_port, protocol, tcp_flags, flow_end_reason,
  sum(packets) AS packets, sum(octets) AS octets FROM flows
  GROUP BY start_time, end_time, src_ip, dst_ip, src_port, dst_port, protocol, tcp_flags, flow_end_reason)
ORDER BY octets DESC, start_time LIMIT 5
