-- Flows that carried more than 10 MB and ended, or were reported on, within the minute: backups and
-- downloads, or data that leaves. One of them alone can fill a link.
SELECT
    src_ip,
    src_port,
    dst_ip,
    dst_port,
    protocol,
    sum(scaled_packets) AS packets,
    sum(scaled_octets) AS octets
FROM flows
GROUP BY src_ip, src_port, dst_ip, dst_port, protocol, tumble('60 seconds')
HAVING sum(scaled_octets) > 10000000
ORDER BY octets DESC;
