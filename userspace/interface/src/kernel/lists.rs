//! Maps that a filter looks into: made and filled before its program is loaded, which has them from then on.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use tapline_filter::bpf::{Fitted, List, NoMap};

use super::bpf::{self, MapKind, MapShape};

/// What the kernel calls the maps.
const NAME: &[u8; 16] = b"tapline_list\0\0\0\0";
/// What is found in a map; that it is found is all that matters.
const FOUND: [u8; 1] = [1];

/// Lists of a filter that is loaded, each with its map, for the next one to have the same.
#[derive(Default)]
pub(super) struct Lists(Vec<(List, OwnedFd)>);

impl Lists {
    /// What `fit` gives, and the maps of its lists: of those that are here already the same ones, since nothing in them ever
    /// changes. A list of which no map can be made costs itself, and those that are longer: it is fitted without them.
    pub(super) fn fitted(
        &self,
        fit: impl Fn(Option<&NoMap>) -> Fitted,
        map_of: impl Fn(&List) -> io::Result<OwnedFd>,
    ) -> (Fitted, Self) {
        let mut no_map = None;
        loop {
            let fitted = fit(no_map.as_ref());
            match self.with(&fitted.program.lists, &map_of) {
                Ok(lists) => return (fitted, lists),
                Err(list) => no_map = Some(list),
            }
        }
    }

    /// The maps of these lists; the short ones are made first, so that one that has no room takes none of theirs.
    fn with(&self, lists: &[List], map_of: &impl Fn(&List) -> io::Result<OwnedFd>) -> Result<Self, NoMap> {
        let mut short_first: Vec<_> = lists.iter().enumerate().collect();
        short_first.sort_by_key(|(_, list)| list.entries());
        let mut maps = vec![];
        for (number, list) in short_first {
            let known = self.0.iter().find(|(known, _)| known == list);
            let map = known.map_or_else(|| map_of(list), |(_, map)| map.try_clone());
            let map = map.map_err(|error| NoMap { entries: list.entries(), why: error.to_string() })?;
            maps.push((number, (list.clone(), map)));
        }
        maps.sort_by_key(|(number, _)| *number);
        Ok(Self(maps.into_iter().map(|(_, map)| map).collect()))
    }

    /// The descriptors of the maps.
    pub(super) fn descriptors(&self) -> Vec<u32> {
        self.0.iter().map(|(_, map)| map.as_fd().as_raw_fd().cast_unsigned()).collect()
    }
}

/// Makes the map of a list.
///
/// # Errors
/// What the kernel says.
pub(super) fn map_of(list: &List) -> io::Result<OwnedFd> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::fs::File;
    use tapline_filter::bpf::{Pushed, Reader, Stage, stage};
    use tapline_filter::{Condition, Field};

    /// A list of addresses and a port that go together.
    fn pair(addresses: u128, port: u128) -> Condition {
        let list = Condition::is_in(Field::SrcIp, (0..addresses).map(|place| 3 * place));
        Condition::All(vec![list, Condition::is_in(Field::DstPort, [port])])
    }

    #[test]
    fn a_list_that_has_no_room_costs_itself() {
        let all = Condition::Any(vec![pair(9000, 1), pair(300, 2), pair(8000, 3), pair(200, 4)]);
        let wanted = &Pushed::of(&all.predicate());
        let fit = |no_map: Option<&NoMap>| {
            stage(&[Reader { bit: 1, wanted }], Stage { cpus: 3, stages: 4 }, no_map)
        };
        let room = Cell::new(0_usize);
        let map_of = |list: &List| -> io::Result<OwnedFd> {
            let left = room.get().checked_sub(list.entries());
            room.set(left.ok_or(io::ErrorKind::OutOfMemory)?);
            File::open("/dev/null").map(OwnedFd::from)
        };
        room.set(20_000);
        let (whole, lists) = Lists::default().fitted(fit, map_of);
        assert_eq!((whole.widened, lists.descriptors().len()), (None, 4));
        // What is there already takes no more room.
        let (_, again) = lists.fitted(fit, map_of);
        assert_eq!(again.descriptors().len(), 4);
        room.set(5000);
        let (fitted, lists) = Lists::default().fitted(fit, map_of);
        assert_eq!(fitted.program.lists.iter().map(List::entries).collect::<Vec<_>>(), [300, 200]);
        let lengths: Vec<_> = lists.0.iter().map(|(list, _)| list.entries()).collect();
        assert_eq!(lengths, [300, 200], "in the order of the program");
        let widened = fitted.widened.unwrap().to_string();
        assert!(
            widened.starts_with("without conditions on src_ip (2): the kernel makes no map of "),
            "{widened}"
        );
    }
}
