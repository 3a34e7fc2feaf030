-- A window of rows instead of time.
SELECT count(*) AS packets, sum(octets) AS octets FROM packets WHERE protocol = 17 GROUP BY tumble_rows(20000)
