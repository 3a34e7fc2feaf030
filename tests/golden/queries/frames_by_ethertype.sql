-- ARP is a row too: its octets are NULL, its frames are counted.
SELECT ethertype, vlan, count(*) AS frames, sum(octets) AS octets, sum(frame_octets) AS frame_octets
FROM packets GROUP BY ethertype, vlan
