-- IPv6 by hop limit.
SELECT ttl, count(*) AS packets, sum(octets) AS octets FROM packets WHERE ip_version = 6 GROUP BY ttl
