-- TCP and UDP packets a minute.
SELECT protocol, count(*) AS packets FROM packets
WHERE protocol IN (6, 17)
GROUP BY protocol, tumble('60 seconds')
