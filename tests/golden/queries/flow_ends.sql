-- Why flows ended; every packet is in one flow.
SELECT protocol, flow_end_reason, count(*) AS flows, sum(packets) AS packets, sum(octets) AS octets
FROM flows GROUP BY protocol, flow_end_reason
