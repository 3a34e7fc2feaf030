-- How many octets went from which autonomous system to which, every five minutes. Look for pairs
-- that are new at the top; empty systems are traffic whose source tells none, as all of interfaces.
SELECT src_as, dst_as, sum(scaled_octets) AS octets
FROM flows
GROUP BY src_as, dst_as, tumble('300 seconds')
ORDER BY octets DESC;
