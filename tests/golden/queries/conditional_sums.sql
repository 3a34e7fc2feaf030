-- Aggregates with a FILTER each.
SELECT count(*) FILTER (WHERE tcp_flags & 2 = 2) AS syn, count(*) FILTER (WHERE tcp_flags & 1 = 1) AS fin,
  sum(octets) FILTER (WHERE protocol = 17) AS udp_octets
FROM packets GROUP BY tumble('60 seconds')
