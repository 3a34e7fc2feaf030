-- Packets by the name of the service.
SELECT service(protocol, dst_port) AS service, count(*) AS packets
FROM packets WHERE dst_port < 1024
GROUP BY service(protocol, dst_port)
