-- A CASE expression as the key.
SELECT CASE WHEN octets <= 64 THEN 'small' WHEN octets <= 576 THEN 'medium' ELSE 'large' END AS class,
  count(*) AS packets
FROM packets WHERE octets IS NOT NULL
GROUP BY CASE WHEN octets <= 64 THEN 'small' WHEN octets <= 576 THEN 'medium' ELSE 'large' END
