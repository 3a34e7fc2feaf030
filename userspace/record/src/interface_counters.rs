//! The stream `interface_counters`: what agents say of their interfaces.

use crate::stream::stream;

stream! {
    /// One row a counter sample of an interface.
    INTERFACE_COUNTERS: InterfaceCounters "interface_counters" "One row a sFlow counter sample of an interface; counts are since the agent started, NULL where it does not know them.",
    InterfaceColumn, InterfaceRow {
        Ts ts: Timestamp, false, "ns", "When the datagram was received; sFlow carries no time of day";
        Source source: Text, false, "", "Name of the source that it came from: the listener's URL, or the file as it was named";
        Exporter exporter: Address, false, "", "Address of the agent";
        Sender sender: Address, false, "", "Address that sent the datagram";
        ObservationDomain observation_domain: UInt32, false, "", "Sub-agent";
        Interface interface: UInt32, false, "", "SNMP index (ifIndex)";
        InterfaceType interface_type: UInt32, false, "", "IANA interface type (ifType)";
        Speed speed: Counter, true, "bits/s", "Nominal speed (ifSpeed)";
        Duplex duplex: UInt8, true, "", "1 full duplex, 2 half duplex, 3 in, 4 out; NULL when unknown";
        AdminUp admin_up: UInt8, false, "", "1 when it is meant to be up (ifAdminStatus)";
        OperUp oper_up: UInt8, false, "", "1 when it is up (ifOperStatus)";
        InOctets in_octets: Counter, true, "octets", "Octets received (ifInOctets)";
        InUnicast in_unicast: Counter, true, "packets", "Unicast packets received";
        InMulticast in_multicast: Counter, true, "packets", "Multicast packets received";
        InBroadcast in_broadcast: Counter, true, "packets", "Broadcast packets received";
        InDiscards in_discards: Counter, true, "packets", "Packets received and discarded";
        InErrors in_errors: Counter, true, "packets", "Packets received with errors";
        InUnknownProtocols in_unknown_protocols: Counter, true, "packets", "Packets received of an unknown protocol";
        OutOctets out_octets: Counter, true, "octets", "Octets sent (ifOutOctets)";
        OutUnicast out_unicast: Counter, true, "packets", "Unicast packets sent";
        OutMulticast out_multicast: Counter, true, "packets", "Multicast packets sent";
        OutBroadcast out_broadcast: Counter, true, "packets", "Broadcast packets sent";
        OutDiscards out_discards: Counter, true, "packets", "Packets to be sent that were discarded";
        OutErrors out_errors: Counter, true, "packets", "Packets that could not be sent";
    }
}
