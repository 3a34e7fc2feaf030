//! Maps that a filter looks into: made and filled before its program is loaded, which has them from then on.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use tapline_filter::bpf::List;

use super::bpf::{self, MapKind, MapShape};

/// What the kernel calls the maps.
const NAME: &[u8; 16] = b"tapline_list\0\0\0\0";
/// What is found in a map; that it is found is all that matters.
const FOUND: [u8; 1] = [1];

/// Lists of a filter that is loaded, each with its map, for the next one to have the same.
#[derive(Default)]
pub(super) struct Lists(Vec<(List, OwnedFd)>);

impl Lists {
    /// The maps of these lists: of those that are here already the same ones, since nothing in them ever changes.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn with(&self, lists: &[List]) -> io::Result<Self> {
        let one = |list: &List| {
            let known = self.0.iter().find(|(known, _)| known == list);
            let map = known.map_or_else(|| filled(list), |(_, map)| map.try_clone())?;
            Ok((list.clone(), map))
        };
        lists.iter().map(one).collect::<io::Result<_>>().map(Self)
    }

    /// The descriptors of the maps.
    pub(super) fn descriptors(&self) -> Vec<u32> {
        self.0.iter().map(|(_, map)| map.as_fd().as_raw_fd().cast_unsigned()).collect()
    }
}

fn filled(list: &List) -> io::Result<OwnedFd> {
    match list {
        List::Bits(bits) => {
            let shape =
                MapShape { kind: MapKind::Array, key_octets: 4, value_octets: bits.len(), entries: 1 };
            filled_with(shape, [(&0_u32.to_ne_bytes()[..], bits.as_slice())])
        }
        List::Addresses(keys) => of_keys(MapKind::Hash, keys),
        List::Prefixes(keys) => of_keys(MapKind::Trie, keys),
    }
}

fn of_keys<const OCTETS: usize>(kind: MapKind, keys: &[[u8; OCTETS]]) -> io::Result<OwnedFd> {
    let shape = MapShape { kind, key_octets: OCTETS, value_octets: FOUND.len(), entries: keys.len() };
    filled_with(shape, keys.iter().map(|key| (&key[..], &FOUND[..])))
}

fn filled_with<'a>(
    shape: MapShape,
    elements: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> io::Result<OwnedFd> {
    let map = bpf::map(NAME, shape)?;
    for (key, value) in elements {
        bpf::insert(map.as_fd(), shape, key, value)?;
    }
    Ok(map)
}
