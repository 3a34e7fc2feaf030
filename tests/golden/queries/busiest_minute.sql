-- HAVING and arithmetic above the aggregate.
SELECT dst_port, count(*) AS packets, sum(octets) / count(*) AS octets_a_packet
FROM packets WHERE dst_port IS NOT NULL
GROUP BY dst_port, tumble('60 seconds')
HAVING count(*) > 5000
