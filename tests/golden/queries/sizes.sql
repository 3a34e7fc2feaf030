-- Average, least and largest packet by protocol.
SELECT protocol, avg(octets) AS average, min(octets) AS least, max(octets) AS largest
FROM packets WHERE protocol IS NOT NULL GROUP BY protocol
