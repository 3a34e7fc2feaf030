-- What came in by each interface of each router within a minute, and the mean rate of it. Compare
-- with the speed of the link; a flow counts in the minute in which it ends or is reported on, so
-- long active timeouts of a router make peaks and holes.
SELECT
    source,
    exporter,
    input_interface,
    count(*) AS flows,
    sum(scaled_packets) AS packets,
    sum(scaled_octets) AS octets,
    sum(scaled_octets) * 8 / 60 AS bits_per_second
FROM flows
GROUP BY source, exporter, input_interface, tumble('60 seconds')
ORDER BY octets DESC;
