-- A window that no row reached yields nothing.
SELECT src_ip, count(*) AS packets FROM packets WHERE protocol = 250 GROUP BY src_ip, tumble('60 seconds')
