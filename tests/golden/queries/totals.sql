-- One row over the whole file.
SELECT count(*) AS frames, sum(octets) AS octets, sum(frame_octets) AS frame_octets, min(ts) AS first, max(ts) AS last
FROM packets
