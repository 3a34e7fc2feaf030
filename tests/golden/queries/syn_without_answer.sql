-- A join of two aggregates: connections asked for and refused, by server port.
SELECT asked.dst_port, asked.syn, coalesce(refused.rst, 0) AS rst
FROM (SELECT dst_port, count(*) AS syn FROM packets WHERE tcp_flags = 2 GROUP BY dst_port, tumble('60 seconds')) AS asked
LEFT JOIN (SELECT src_port, count(*) AS rst FROM packets WHERE tcp_flags & 4 = 4 GROUP BY src_port, tumble('60 seconds')) AS refused
ON asked.dst_port = refused.src_port
