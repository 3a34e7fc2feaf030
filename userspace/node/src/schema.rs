//! `tapline schema`: what can be asked.

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal;
use comfy_table::{ContentArrangement, Table, presets};
use tapline_query::STREAMS;
use tapline_record::{Stream, StreamId};

/// Prints the tables, or the columns of one.
pub(crate) fn print(table: Option<&str>) -> Result<(), Failure> {
    let Some(name) = table else {
        return Output::to_stdout_text(&format!(
            "{}\nColumns of one: tapline schema {}\n{FUNCTIONS}",
            tables(),
            STREAMS[0].name
        ));
    };
    let stream = STREAMS.iter().find(|stream| stream.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names = STREAMS.map(|stream| stream.name).join(", ");
        Failure::Usage(format!("there is no table '{name}'; the tables are {names}"))
    })?;
    let further = if stream.id == StreamId::Flows { ELEMENTS } else { "" };
    Output::to_stdout_text(&format!("{}\n{}\n{further}", stream.about, columns(stream)))
}

/// The tables, a line each.
pub(crate) fn tables() -> String {
    STREAMS.map(|stream| format!("{}: {}\n", stream.name, stream.about)).concat()
}

/// What SQL has besides DataFusion's functions.
const FUNCTIONS: &str = "
Functions beside those of DataFusion:
  cidr(ip, '10.0.0.0/8')      whether an address lies in a prefix, of its own family
  network(ip, 24, 48)         the address without its last bits: those kept of IPv4, of IPv6
  ip('10.0.0.1'), mac('…')    the address that a text names; addresses may also be written as text
  text(x)                     addresses as they are written; octets as UTF-8, what cannot be shown as U+FFFD
  hex(x)                      octets, addresses and whole numbers in hexadecimal
  service(protocol, port)     the name of a registered service
  protocol_name(protocol)     TCP, UDP, IPv6-ICMP; a number without a name as it is
  tcp_flags_text(tcp_flags)   SYN, SYN ACK, PSH ACK
  lookup('table', key)        what a table of --lookup says of a key: its first column, or the one that is named:
                              lookup('table', key, 'column'); of addresses by the longest prefix
  asn(ip), as_name(ip), country(ip)
                              of the autonomous system, and the country's code, from MaxMind files of --lookup
  mac_vendor(mac)             who made the network card: the registry of this machine, and what is met most
  quantile(x, 0.95)           of numbers or durations, within 0.78 %
  top_k(x, 10)                the most frequent values; t[1]['value'] and t[1]['count'] are the first one's
  approx_distinct(x)          how many different values
  tumble, hop, tumble_rows    windows, in the GROUP BY that reads a stream
LIKE, ~, contains, starts_with and length see each octet of a payload as one character; X'1603' are octets, 0x02 is a
number. Of a duration, such as max(ts) - min(ts), date_part gives all of it in whole units, or seconds with their
fraction for 'epoch'.
";

/// What can be read of exported flows besides the columns.
const ELEMENTS: &str = "
Any other information element of exported flows is read by its number, of a vendor's elements by enterprise and
number: element(95), element(9, 12235). Its type is the registered one: uint64, int64, float64, address, mac or
text; what is not registered, or is octets, is uint64 where it has one to eight octets. Times and durations are the
numbers that were sent. element_text(…) reads it as text, element_octets(…) in hexadecimal. It is NULL where a
record lacks it, and always in flows of sFlow and of packets.
";

fn columns(stream: &Stream) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if let Some(width) = terminal::width().and_then(|width| u16::try_from(width).ok()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_header(["column", "type", "null", "unit", "meaning and source"]);
    for column in stream.columns {
        let null = if column.nullable { "yes" } else { "no" };
        table.add_row([column.name, column.kind.name(), null, column.unit, column.about]);
    }
    table
}
