-- How many frames of which size an interface saw within a minute; at_most is the upper end of each
-- class in octets, empty for jumbo frames. A flood of the smallest ones strains routers long before
-- the link is full; needs an interface or a capture, since exports hold no packets.
SELECT
    CASE
        WHEN frame_octets <= 64 THEN 64
        WHEN frame_octets <= 128 THEN 128
        WHEN frame_octets <= 256 THEN 256
        WHEN frame_octets <= 512 THEN 512
        WHEN frame_octets <= 1024 THEN 1024
        WHEN frame_octets <= 1518 THEN 1518
    END AS at_most,
    count(*) AS frames,
    sum(frame_octets) AS octets
FROM packets
GROUP BY at_most, tumble('60 seconds')
ORDER BY at_most;
