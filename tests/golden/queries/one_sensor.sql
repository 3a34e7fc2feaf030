-- All rows of a node are of one sensor; its site is NULL where it is not said.
SELECT count(DISTINCT sensor) AS sensors, count(site) AS sites, count(*) AS frames FROM packets WHERE sensor <> ''
