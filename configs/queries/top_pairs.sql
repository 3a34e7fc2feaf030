-- The twenty pairs of hosts that exchanged most octets within a minute, both directions in one row;
-- who sent more of them, the columns of each direction tell.
SELECT
    least(src_ip, dst_ip) AS ip_a,
    greatest(src_ip, dst_ip) AS ip_b,
    coalesce(sum(scaled_octets) FILTER (WHERE src_ip <= dst_ip), 0) AS octets_a_to_b,
    coalesce(sum(scaled_octets) FILTER (WHERE src_ip > dst_ip), 0) AS octets_b_to_a,
    sum(scaled_octets) AS octets
FROM flows
WHERE src_ip IS NOT NULL AND dst_ip IS NOT NULL
GROUP BY least(src_ip, dst_ip), greatest(src_ip, dst_ip), tumble('60 seconds')
ORDER BY octets DESC
LIMIT 20;
