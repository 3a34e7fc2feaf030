//! A program that is bound to its interface, so that it may ask the driver what it knows of a frame.
//!
//! Takes the object and the maps that were made for it, gives the program with calls of the kernel's functions where it has
//! instructions that say no, see `tapline_ebpf_common::ask`. The library that loads objects binds no program to an
//! interface; so what it would give to the kernel is made here once more.

use std::collections::HashMap;
use std::io;
use std::mem::take;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::maps::{Map, MapData};
use aya::{Btf, Ebpf, features};
use aya_obj::btf::BtfKind;
use aya_obj::generated::bpf_insn;
use aya_obj::{Function, Object};
use tapline_ebpf_common::ask;

use super::KernelError;
use super::bpf::{self, Bound, Program};
use crate::link::XdpFeatures;

/// `r0 = NUMBER`, and a call; in the place of its source register, that it is of a function of the kernel.
const MOVE: u8 = 0xb7;
const CALL: u8 = 0x85;
const OF_KERNEL: u8 = 2 << 4;

/// What programs ask of a card: by which number, by which function, and since which kernel that is there.
const TAG: Question = Question { number: ask::TAG, function: "bpf_xdp_metadata_rx_vlan_tag", since: "6.8" };
const TIME: Question =
    Question { number: ask::TIME, function: "bpf_xdp_metadata_rx_timestamp", since: "6.3" };

#[derive(Clone, Copy)]
struct Question {
    number: i32,
    function: &'static str,
    since: &'static str,
}

/// Descriptors of the maps that were made for an object, by their names.
pub(super) struct Maps(HashMap<String, OwnedFd>);

impl Maps {
    /// Those of the capture program, all of which must be there still.
    pub(super) fn of(ebpf: &Ebpf) -> io::Result<Self> {
        let known = ebpf.maps().filter_map(|(name, map)| Some((name, data(map)?)));
        let own =
            |(name, map): (&str, &MapData)| Ok((name.to_owned(), map.fd().as_fd().try_clone_to_owned()?));
        known.map(own).collect::<io::Result<_>>().map(Self)
    }
}

/// What is behind a map of a kind that the programs have.
const fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::LpmTrie(data)
        | Map::ProgramArray(data)
        | Map::RingBuf(data)
        | Map::XskMap(data) => Some(data),
        _ => None,
    }
}

/// What a driver tells programs that are bound to its interface, of what they ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) tags: bool,
    pub(super) times: bool,
}

impl Told {
    /// As its driver says; `None` if that is nothing.
    pub(super) fn by(features: XdpFeatures) -> Option<Self> {
        let told = Self { tags: features.tells_tags, times: features.tells_times };
        (told.tags || told.times).then_some(told)
    }

    fn questions(self) -> impl Iterator<Item = Question> {
        [(self.tags, TAG), (self.times, TIME)]
            .into_iter()
            .filter_map(|(is_told, question)| is_told.then_some(question))
    }
}

/// A program that is attached to the interface that it is bound to; it comes off when this goes.
pub(super) struct BoundProgram {
    _link: OwnedFd,
}

impl BoundProgram {
    /// Loads a program of the object for an interface, and attaches it.
    ///
    /// # Errors
    /// Why not, in half a sentence.
    pub(super) fn attach(
        object: &[u8],
        name: &'static str,
        maps: &Maps,
        (interface_index, told): (u32, Told),
    ) -> Result<Self, String> {
        let (function, types) = linked(object, name, maps)?;
        let instructions = asking(&function.instructions, told)?;
        let types = bpf::load_types(&types).map_err(|error| format!("its types are refused: {error}"))?;
        let functions = function.func_info.func_info_bytes();
        let bound = Bound {
            interface_index,
            types: types.as_fd(),
            functions: &functions,
            function_octets: function.func_info_rec_size as u32,
        };
        let program =
            bpf::load(Program { name: &short(name), instructions: &instructions, bound: Some(bound) })?;
        let link = bpf::attach(program.as_fd(), interface_index).map_err(|error| error.to_string())?;
        Ok(Self { _link: link })
    }
}

/// A program with its functions and the descriptors of its maps, and the types of its object.
fn linked(object: &[u8], name: &'static str, maps: &Maps) -> Result<(Function, Vec<u8>), String> {
    let unfit = |error: &dyn std::error::Error| format!("the object is not read: {error}");
    let mut object = Object::parse(object).map_err(|error| unfit(&error))?;
    let known = features().btf().ok_or("this kernel knows no types of programs")?;
    let types = object.fixup_and_sanitize_btf(known).map_err(|error| unfit(&error))?;
    let types = types.ok_or("the object has no types")?.to_bytes();
    let declared = take(&mut object.maps);
    let places =
        declared.iter().filter_map(|(name, map)| Some((name.as_str(), maps.0.get(name)?.as_raw_fd(), map)));
    let text = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(places, &text).map_err(|error| unfit(&error))?;
    object.relocate_calls(&text).map_err(|error| unfit(&error))?;
    let key = object.programs.get(name).map(aya_obj::Program::function_key);
    let function = key.and_then(|key| object.functions.remove(&key));
    Ok((function.ok_or_else(|| KernelError::Missing(name).to_string())?, types))
}

/// The instructions with calls in the place of those that say no.
fn asking(instructions: &[bpf_insn], told: Told) -> Result<Vec<u64>, String> {
    let types = Btf::from_sys_fs().map_err(|error| format!("the kernel's types cannot be read: {error}"))?;
    let mut words: Vec<_> = instructions.iter().map(word).collect();
    for question in told.questions() {
        let Question { number, function, since } = question;
        let id = types.id_by_type_name_kind(function, BtfKind::Func);
        let id =
            id.map_err(|_| format!("this kernel has no `{function}`, which is there since Linux {since}"))?;
        let (no, call) = (instruction(MOVE, 0, number), instruction(CALL, OF_KERNEL, id.cast_signed()));
        words.iter_mut().filter(|word| **word == no).for_each(|word| *word = call);
    }
    Ok(words)
}

/// An instruction as the kernel reads it.
fn word(from: &bpf_insn) -> u64 {
    let registers = from.dst_reg() | from.src_reg() << 4;
    instruction(from.code, registers, from.imm) | u64::from(from.off.cast_unsigned()) << 16
}

/// An instruction that jumps nowhere; the register that it reads from stands in the higher half of `registers`.
fn instruction(code: u8, registers: u8, number: i32) -> u64 {
    u64::from(code) | u64::from(registers) << 8 | u64::from(number.cast_unsigned()) << 32
}

/// A name as the kernel keeps it, cut to 15 octets.
fn short(name: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.iter_mut().take(15).zip(name.bytes()).for_each(|(place, octet)| *place = octet);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_ebpf_common::names;

    #[test]
    fn instructions_are_written_as_the_kernel_reads_them() {
        let call = instruction(CALL, OF_KERNEL, -2).to_ne_bytes();
        assert_eq!(call, [0x85, 0x20, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
        let mut from = bpf_insn { code: 0x7b, off: -8, imm: 5, ..no_instruction() };
        from.set_dst_reg(10);
        from.set_src_reg(1);
        assert_eq!(word(&from).to_ne_bytes(), [0x7b, 0x1a, 0xf8, 0xff, 5, 0, 0, 0]);
    }

    fn no_instruction() -> bpf_insn {
        aya_obj::copy_instructions(&[0; 8]).expect("an instruction")[0]
    }

    #[test]
    fn names_are_cut() {
        assert_eq!(&short("tapline_unfiltered"), b"tapline_unfilte\0");
        assert_eq!(&short("tapline"), b"tapline\0\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn the_capture_programs_ask_once() {
        for (says, name) in
            [false, true].into_iter().flat_map(|says| [(says, names::CAPTURE), (says, names::UNFILTERED)])
        {
            let Ok(object) = super::super::object::capture(says) else { return };
            let object = Object::parse(object).expect("an object");
            let function = &object.functions[&object.programs[name].function_key()];
            for question in [TAG, TIME] {
                let no = instruction(MOVE, 0, question.number);
                let found = function.instructions.iter().filter(|from| word(from) == no);
                assert_eq!(found.count(), 1, "{name}: {}", question.function);
            }
        }
    }
}
