//! The services that well-known ports are registered for.
//!
//! Names and ports follow IANA's registry of service names, with the everyday name where the
//! registered one is hardly known (`dns` for `domain`) and a few ports that are used without being
//! registered. The table is built while compiling; a look-up costs one or two probes.

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// Transport protocols that one name is used on.
#[derive(Clone, Copy)]
enum On {
    Tcp,
    Udp,
    Sctp,
    Both,
}

impl On {
    const fn includes(self, protocol: u8) -> bool {
        match self {
            Self::Tcp => protocol == TCP,
            Self::Udp => protocol == UDP,
            Self::Sctp => protocol == SCTP,
            Self::Both => protocol == TCP || protocol == UDP,
        }
    }
}

use On::{Both, Sctp, Tcp, Udp};

#[rustfmt::skip]
const SERVICES: &[(u16, On, &str)] = &[
    (7, Both, "echo"), (9, Both, "discard"), (13, Both, "daytime"), (17, Both, "qotd"),
    (19, Both, "chargen"), (20, Tcp, "ftp-data"), (21, Tcp, "ftp"), (22, Tcp, "ssh"),
    (23, Tcp, "telnet"), (25, Tcp, "smtp"), (37, Both, "time"), (43, Tcp, "whois"),
    (49, Both, "tacacs"), (53, Both, "dns"), (67, Udp, "dhcp-server"), (68, Udp, "dhcp-client"),
    (69, Udp, "tftp"), (70, Tcp, "gopher"), (79, Tcp, "finger"), (80, Both, "http"),
    (88, Both, "kerberos"), (102, Tcp, "iso-tsap"), (110, Tcp, "pop3"), (111, Both, "sunrpc"),
    (113, Tcp, "ident"), (119, Tcp, "nntp"), (123, Udp, "ntp"), (135, Both, "epmap"),
    (137, Both, "netbios-ns"), (138, Both, "netbios-dgm"), (139, Both, "netbios-ssn"),
    (143, Tcp, "imap"), (161, Both, "snmp"), (162, Both, "snmptrap"), (177, Udp, "xdmcp"),
    (179, Tcp, "bgp"), (194, Tcp, "irc"), (319, Udp, "ptp-event"), (320, Udp, "ptp-general"),
    (389, Both, "ldap"), (427, Both, "svrloc"), (443, Both, "https"), (445, Both, "microsoft-ds"),
    (464, Both, "kpasswd"), (465, Tcp, "submissions"), (500, Udp, "isakmp"), (502, Tcp, "modbus"),
    (512, Tcp, "exec"), (513, Tcp, "login"), (513, Udp, "who"), (514, Tcp, "shell"),
    (514, Udp, "syslog"), (515, Tcp, "printer"), (520, Udp, "rip"), (521, Udp, "ripng"),
    (540, Tcp, "uucp"), (546, Udp, "dhcpv6-client"), (547, Udp, "dhcpv6-server"), (548, Tcp, "afp"),
    (554, Both, "rtsp"), (563, Tcp, "nntps"), (587, Tcp, "submission"), (623, Udp, "asf-rmcp"),
    (631, Both, "ipp"), (636, Both, "ldaps"), (646, Both, "ldp"), (655, Both, "tinc"),
    (694, Udp, "ha-cluster"), (749, Both, "kerberos-adm"), (830, Tcp, "netconf-ssh"),
    (853, Both, "dns-tls"), (860, Tcp, "iscsi"), (873, Tcp, "rsync"), (902, Tcp, "vmware-auth"),
    (989, Tcp, "ftps-data"), (990, Tcp, "ftps"), (992, Tcp, "telnets"), (993, Tcp, "imaps"),
    (995, Tcp, "pop3s"), (1080, Tcp, "socks"), (1194, Both, "openvpn"), (1433, Tcp, "ms-sql-s"),
    (1434, Udp, "ms-sql-m"), (1521, Tcp, "oracle"), (1645, Udp, "radius-old"), (1646, Udp, "radacct-old"),
    (1701, Udp, "l2tp"), (1719, Udp, "h323gatestat"), (1720, Tcp, "h323hostcall"), (1723, Tcp, "pptp"),
    (1812, Udp, "radius"), (1813, Udp, "radius-acct"), (1883, Tcp, "mqtt"), (1900, Udp, "ssdp"),
    (1985, Udp, "hsrp"), (2049, Both, "nfs"), (2055, Udp, "netflow"), (2083, Tcp, "radsec"),
    (2123, Udp, "gtp-control"), (2152, Udp, "gtp-user"), (2181, Tcp, "zookeeper"), (2375, Tcp, "docker"),
    (2376, Tcp, "docker-s"), (2379, Tcp, "etcd-client"), (2380, Tcp, "etcd-server"),
    (2404, Tcp, "iec-104"), (2427, Udp, "mgcp-gateway"), (2905, Sctp, "m3ua"), (3128, Tcp, "squid"),
    (3260, Tcp, "iscsi-target"), (3268, Tcp, "msft-gc"), (3269, Tcp, "msft-gc-ssl"), (3306, Tcp, "mysql"),
    (3389, Both, "rdp"), (3478, Both, "stun"), (3544, Udp, "teredo"), (3690, Tcp, "svn"),
    (3784, Udp, "bfd-control"), (3785, Udp, "bfd-echo"), (3868, Tcp, "diameter"), (3868, Sctp, "diameter"),
    (4222, Tcp, "nats"), (4369, Tcp, "epmd"), (4500, Udp, "ipsec-nat-t"), (4739, Both, "ipfix"),
    (4739, Sctp, "ipfix"), (4740, Tcp, "ipfixs"), (4789, Udp, "vxlan"), (5004, Udp, "rtp"),
    (5005, Udp, "rtcp"), (5060, Both, "sip"), (5060, Sctp, "sip"), (5061, Tcp, "sips"),
    (5201, Both, "iperf3"), (5222, Tcp, "xmpp-client"), (5269, Tcp, "xmpp-server"), (5349, Both, "stuns"),
    (5351, Udp, "nat-pmp"), (5353, Udp, "mdns"), (5355, Both, "llmnr"), (5432, Tcp, "postgresql"),
    (5601, Tcp, "kibana"), (5671, Tcp, "amqps"), (5672, Tcp, "amqp"), (5683, Udp, "coap"),
    (5684, Udp, "coaps"), (5900, Tcp, "vnc"), (5938, Both, "teamviewer"), (5985, Tcp, "wsman"),
    (5986, Tcp, "wsmans"), (6000, Tcp, "x11"), (6081, Udp, "geneve"), (6343, Udp, "sflow"),
    (6379, Tcp, "redis"), (6443, Tcp, "kubernetes"), (6514, Tcp, "syslog-tls"), (6653, Tcp, "openflow"),
    (6667, Tcp, "ircu"), (6697, Tcp, "ircs-u"), (6881, Both, "bittorrent"), (8000, Tcp, "http-dev"),
    (8080, Tcp, "http-alt"), (8086, Tcp, "influxdb"), (8123, Tcp, "clickhouse-http"),
    (8443, Tcp, "https-alt"), (8805, Udp, "pfcp"), (8883, Tcp, "mqtts"), (9000, Tcp, "clickhouse"),
    (9042, Tcp, "cassandra"), (9090, Tcp, "prometheus"), (9092, Tcp, "kafka"), (9100, Tcp, "jetdirect"),
    (9200, Tcp, "elasticsearch"), (9418, Tcp, "git"), (9995, Udp, "netflow"), (9996, Udp, "netflow"),
    (10050, Tcp, "zabbix-agent"), (10051, Tcp, "zabbix-trapper"), (11211, Both, "memcached"),
    (19132, Udp, "minecraft"), (20000, Both, "dnp3"), (25565, Tcp, "minecraft"), (27015, Udp, "steam"),
    (27017, Tcp, "mongodb"), (36412, Sctp, "s1ap"), (38412, Sctp, "ngap"), (44818, Both, "ethernet-ip"),
    (47808, Udp, "bacnet"), (51820, Udp, "wireguard"), (64738, Both, "mumble"),
];

const SLOT_BITS: u32 = 9;
const SLOTS: usize = 1 << SLOT_BITS;
/// A slot without a service.
const FREE: u8 = u8::MAX;

/// Where a port's entries begin; further ones and collisions follow until a free slot.
const fn first_slot(port: u16) -> usize {
    ((port as u32).wrapping_mul(0x9E37_79B1) >> (u32::BITS - SLOT_BITS)) as usize
}

static INDEX: [u8; SLOTS] = index();

const fn index() -> [u8; SLOTS] {
    assert!(SERVICES.len() < FREE as usize && SERVICES.len() < SLOTS / 2);
    let mut index = [FREE; SLOTS];
    let mut entry = 0;
    while entry < SERVICES.len() {
        let mut slot = first_slot(SERVICES[entry].0);
        while index[slot] != FREE {
            slot = (slot + 1) % SLOTS;
        }
        index[slot] = entry as u8;
        entry += 1;
    }
    index
}

/// The service registered for `port` of the transport `protocol` (IANA's protocol number).
pub(crate) fn service_name(protocol: u8, port: u16) -> Option<&'static str> {
    let entries = (first_slot(port)..).map(|slot| usize::from(INDEX[slot % SLOTS]));
    let (_, _, name) = entries
        .map_while(|entry| SERVICES.get(entry))
        .find(|(number, on, _)| *number == port && on.includes(protocol))?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_is_found_and_no_other() {
        for protocol in [TCP, UDP, SCTP, 1] {
            for port in 0..=u16::MAX {
                let listed = SERVICES.iter().find(|(number, on, _)| *number == port && on.includes(protocol));
                assert_eq!(service_name(protocol, port), listed.map(|(_, _, name)| *name));
            }
        }
    }

    #[test]
    fn one_port_may_have_two_names() {
        assert_eq!(service_name(TCP, 514), Some("shell"));
        assert_eq!(service_name(UDP, 514), Some("syslog"));
        assert_eq!(service_name(SCTP, 514), None);
        assert_eq!(service_name(UDP, 443), Some("https"));
    }

    #[test]
    fn no_entry_hides_another() {
        for protocol in [TCP, UDP, SCTP] {
            let mut ports: Vec<u16> =
                SERVICES.iter().filter(|(_, on, _)| on.includes(protocol)).map(|(port, ..)| *port).collect();
            ports.sort_unstable();
            assert!(ports.is_sorted_by(|a, b| a < b));
        }
    }
}
