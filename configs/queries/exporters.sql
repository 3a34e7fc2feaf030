-- Who tells of flows, and of how much, every minute; an interface has no exporter. One that is
-- missing, or has a tenth of its usual records, is down or not reachable; sampling_rate is empty
-- where nobody said it, and then octets and packets are as they were counted.
SELECT
    source,
    exporter,
    count(*) AS records,
    max(sampling_rate) AS sampling_rate,
    sum(scaled_packets) AS packets,
    sum(scaled_octets) AS octets
FROM flows
GROUP BY source, exporter, tumble('60 seconds')
ORDER BY records DESC;
