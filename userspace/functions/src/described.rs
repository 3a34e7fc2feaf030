//! What people read about the functions that SQL has here beside those of DataFusion.

/// A function, for people.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// A call of it.
    pub call: &'static str,
    /// What it gives.
    pub about: &'static str,
}

/// All of them, those of addresses first.
pub const DESCRIBED: [Described; 23] = [
    described("cidr", "cidr(ip, '10.0.0.0/8')", "whether an address lies in a prefix, of its own family"),
    described(
        "network",
        "network(ip, 24, 48)",
        "the address without its last bits: those kept of IPv4, of IPv6",
    ),
    described("ip", "ip('10.0.0.1')", "the address that a text names; addresses may also be written as text"),
    described("mac", "mac('00:00:5e:00:53:01')", "the MAC address that a text names"),
    described(
        "text",
        "text(x)",
        "addresses as they are written; octets as UTF-8, what cannot be shown as U+FFFD",
    ),
    described("hex", "hex(x)", "octets, addresses and whole numbers in hexadecimal"),
    described("service", "service(protocol, port)", "the name of a registered service"),
    described(
        "protocol_name",
        "protocol_name(protocol)",
        "TCP, UDP, IPv6-ICMP; a number without a name as it is",
    ),
    described("tcp_flags_text", "tcp_flags_text(tcp_flags)", "SYN, SYN ACK, PSH ACK"),
    described(
        "lookup",
        "lookup('table', key)",
        "what a table of --lookup says of a key: its first column, or the one that a third argument names; \
         of addresses by the longest prefix",
    ),
    described("asn", "asn(ip)", "the number of the autonomous system, from a MaxMind file of --lookup"),
    described("as_name", "as_name(ip)", "the name of the autonomous system, from the same"),
    described("country", "country(ip)", "the country's code, from a MaxMind file of --lookup"),
    described(
        "mac_vendor",
        "mac_vendor(mac)",
        "who made the network card: the registry of this machine, and what is met most",
    ),
    described("quantile", "quantile(x, 0.95)", "of numbers or durations, within 0.78 %"),
    described(
        "top_k",
        "top_k(x, 10)",
        "the most frequent values; t[1]['value'] and t[1]['count'] are the first one's",
    ),
    described("approx_distinct", "approx_distinct(x)", "how many different values"),
    described(
        "tumble",
        "tumble('1 minute')",
        "windows one after the other, in the GROUP BY that reads a stream",
    ),
    described("hop", "hop('1 second', '10 seconds')", "windows that slide: how far, and how long they are"),
    described("tumble_rows", "tumble_rows(1000)", "windows of so many rows"),
    described(
        "element",
        "element(9, 12235)",
        "any other information element of exported flows, by its number",
    ),
    described("element_text", "element_text(9, 12235)", "the same as text"),
    described("element_octets", "element_octets(9, 12235)", "the same in hexadecimal"),
];

const fn described(name: &'static str, call: &'static str, about: &'static str) -> Described {
    Described { name, call, about }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar_functions;

    #[test]
    fn every_function_of_ours_is_described() {
        let tables = std::sync::Arc::default();
        let scalars = scalar_functions(&tables).into_iter();
        let names: Vec<String> = scalars.map(|function| function.name().to_owned()).collect();
        let missing: Vec<_> =
            names.iter().filter(|name| DESCRIBED.iter().all(|known| known.name != name.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
