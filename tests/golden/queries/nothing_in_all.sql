-- An aggregate without keys over no rows yields one row: nothing was counted, the rest is not known.
SELECT count(*) AS packets, sum(octets) AS octets, min(octets) AS least, max(ts) AS latest, avg(octets) AS average
FROM packets WHERE protocol = 250
