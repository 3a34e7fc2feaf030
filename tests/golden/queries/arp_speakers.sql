-- Rows without IP, by MAC address.
SELECT src_mac, count(*) AS frames FROM packets WHERE src_ip IS NULL
GROUP BY src_mac ORDER BY frames DESC, src_mac LIMIT 5
