-- Pairs of hosts of which one sent at least 1000 packets within a minute and got fewer than one
-- back for a hundred: floods, one-way streams, multicast. If nearly all traffic is here, the way
-- back is not seen: routes differ, or exporters and mirrors tell of one direction only.
SELECT
    CASE WHEN packets_up >= packets_down THEN ip_a ELSE ip_b END AS sender,
    CASE WHEN packets_up >= packets_down THEN ip_b ELSE ip_a END AS receiver,
    greatest(packets_up, packets_down) AS packets_seen,
    least(packets_up, packets_down) AS packets_seen_back,
    greatest(octets_up, octets_down) AS octets,
    least(octets_up, octets_down) AS octets_back
FROM (
    SELECT
        least(src_ip, dst_ip) AS ip_a,
        greatest(src_ip, dst_ip) AS ip_b,
        coalesce(sum(packets) FILTER (WHERE src_ip < dst_ip), 0) AS packets_up,
        coalesce(sum(packets) FILTER (WHERE src_ip > dst_ip), 0) AS packets_down,
        coalesce(sum(scaled_octets) FILTER (WHERE src_ip < dst_ip), 0) AS octets_up,
        coalesce(sum(scaled_octets) FILTER (WHERE src_ip > dst_ip), 0) AS octets_down
    FROM flows
    WHERE src_ip <> dst_ip
    GROUP BY least(src_ip, dst_ip), greatest(src_ip, dst_ip), tumble('60 seconds')
)
WHERE greatest(packets_up, packets_down) >= 1000
    AND least(packets_up, packets_down) * 100 < greatest(packets_up, packets_down)
ORDER BY octets DESC
LIMIT 50;
