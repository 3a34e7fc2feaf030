//! Files in MaxMind's format: networks of both families with records, as the tables of a lookup read them.
//!
//! <https://maxmind.github.io/MaxMind-DB/>: a search tree by the bits of an address, IPv4 within `::/96`, whose leaves
//! say where in the data that follows a record is.

use std::collections::HashMap;
use std::net::IpAddr;

/// Between tree and data stand as many zeros.
const SEPARATOR_OCTETS: usize = 16;

/// Bits before an IPv4 address in the tree.
const V4_DEPTH: u32 = 96;

/// What a record consists of.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number of 16 bits.
    Short(u16),
    /// A number of 32 bits.
    Number(u32),
    /// A number of 64 bits.
    Long(u64),
    /// A number with a fraction.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// Values by name.
    Map(Vec<(&'static str, Value)>),
    /// Values one after the other.
    List(Vec<Value>),
}

/// A network, its length in bits of its family, and its record.
pub type Network<'a> = (IpAddr, u32, &'a Value);

/// Where a bit leads.
#[derive(Clone, Copy)]
enum Branch {
    Nothing,
    Node(u32),
    /// Where in the data.
    Record(u32),
}

/// A file of a kind such as `GeoLite2-ASN`; networks may lie within others.
///
/// # Panics
/// When a network is all of IPv6, or longer than its family's addresses, or a text, map or list is longer than the
/// lengths that are written here.
#[must_use]
pub fn database(kind: &str, networks: &[Network<'_>]) -> Vec<u8> {
    let (mut data, mut offsets) = (vec![], HashMap::new());
    let mut nodes = vec![[Branch::Nothing; 2]];
    let mut sorted: Vec<_> = networks.iter().collect();
    // What lies within others comes behind them, of whichever family they are.
    sorted.sort_by_key(|(address, bits, _)| depth_of(address, *bits));
    for (address, bits, value) in sorted {
        let mut encoded = vec![];
        encode(value, &mut encoded);
        let offset = *offsets.entry(encoded).or_insert_with_key(|encoded| {
            data.extend_from_slice(encoded);
            (data.len() - encoded.len()) as u32
        });
        let number = match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        insert(&mut nodes, number, depth_of(address, *bits), offset);
    }
    let mut file = tree(&nodes);
    file.extend([0; SEPARATOR_OCTETS]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    encode(&metadata(kind, nodes.len() as u32), &mut file);
    file
}

/// How many bits of the tree lead to a network.
fn depth_of(address: &IpAddr, bits: u32) -> u32 {
    if address.is_ipv4() { V4_DEPTH + bits } else { bits }
}

fn insert(nodes: &mut Vec<[Branch; 2]>, number: u128, depth: u32, offset: u32) {
    assert!(depth > 0, "the tree begins with a node, so that no record is for all of IPv6");
    assert!(depth <= 128, "no network is longer than its family's addresses");
    let mut node = 0;
    for level in 0..depth {
        let bit = (number >> (127 - level) & 1) as usize;
        if level + 1 == depth {
            nodes[node][bit] = Branch::Record(offset);
            return;
        }
        node = match nodes[node][bit] {
            Branch::Node(next) => next as usize,
            // What held for all of it holds for both halves.
            around => {
                nodes.push([around; 2]);
                nodes[node][bit] = Branch::Node(nodes.len() as u32 - 1);
                nodes.len() - 1
            }
        };
    }
}

fn tree(nodes: &[[Branch; 2]]) -> Vec<u8> {
    let count = nodes.len() as u32;
    let record = |branch: &Branch| match branch {
        Branch::Nothing => count,
        Branch::Node(next) => *next,
        Branch::Record(offset) => count + SEPARATOR_OCTETS as u32 + offset,
    };
    nodes.iter().flatten().flat_map(|branch| record(branch).to_be_bytes()).collect()
}

fn metadata(kind: &str, nodes: u32) -> Value {
    Value::Map(vec![
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Long(1_700_000_000)),
        ("database_type", Value::Text(kind.to_owned())),
        ("description", Value::Map(vec![])),
        ("ip_version", Value::Short(6)),
        ("languages", Value::List(vec![])),
        ("node_count", Value::Number(nodes)),
        ("record_size", Value::Short(32)),
    ])
}

fn encode(value: &Value, file: &mut Vec<u8>) {
    match value {
        Value::Text(text) => {
            control(2, text.len(), file);
            file.extend(text.as_bytes());
        }
        Value::Short(number) => {
            control(5, 2, file);
            file.extend(number.to_be_bytes());
        }
        Value::Long(number) => {
            file.extend([8, 9 - 7]);
            file.extend(number.to_be_bytes());
        }
        Value::List(values) => {
            assert!(values.len() < 29, "a list has less than 29 values here");
            file.extend([values.len() as u8, 11 - 7]);
            values.iter().for_each(|value| encode(value, file));
        }
        Value::Number(number) => {
            control(6, 4, file);
            file.extend(number.to_be_bytes());
        }
        Value::Double(number) => {
            control(3, 8, file);
            file.extend(number.to_be_bytes());
        }
        Value::Boolean(is_true) => file.extend([u8::from(*is_true), 14 - 7]),
        Value::Map(entries) => {
            control(7, entries.len(), file);
            for (name, value) in entries {
                control(2, name.len(), file);
                file.extend(name.as_bytes());
                encode(value, file);
            }
        }
    }
}

/// The type and the size of what follows, of which larger ones would need more octets.
fn control(kind: u8, size: usize, file: &mut Vec<u8>) {
    if size < 29 {
        file.push(kind << 5 | size as u8);
    } else {
        let rest = u8::try_from(size - 29).expect("a text or a map has less than 285 octets or entries here");
        file.extend([kind << 5 | 29, rest]);
    }
}
