//! Instructions of BPF, with labels that jumps go to.
//!
//! An instruction is eight octets as a machine with the least significant octet first has them, which the kernel programs
//! are built for: operation, registers, offset, immediate number.

use std::collections::BTreeMap;

/// Registers that calls give back, take, or leave as they are.
pub(super) const R0: u8 = 0;
pub(super) const R1: u8 = 1;
pub(super) const R2: u8 = 2;
pub(super) const R3: u8 = 3;
pub(super) const R6: u8 = 6;
pub(super) const R7: u8 = 7;
pub(super) const R8: u8 = 8;
pub(super) const R9: u8 = 9;
/// The end of the stack.
pub(super) const R10: u8 = 10;

const LOAD_CONSTANT: u8 = 0x18;
const LOAD_32: u8 = 0x61;
const LOAD_8: u8 = 0x71;
const LOAD_64: u8 = 0x79;
const STORE_32: u8 = 0x63;
const STORE_64: u8 = 0x7b;
const ADD: u8 = 0x07;
const ADD_REGISTER: u8 = 0x0f;
const OR: u8 = 0x47;
const AND: u8 = 0x57;
const AND_REGISTER: u8 = 0x5f;
const SHIFT_RIGHT: u8 = 0x77;
const SHIFT_RIGHT_BY_REGISTER: u8 = 0x7f;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const TO_NETWORK_ORDER: u8 = 0xdc;
const JUMP: u8 = 0x05;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// Set in the operation of a jump that compares two registers.
const WITH_REGISTER: u8 = 0x08;
/// In the place of a register: the constant is a map, by its descriptor.
const IS_MAP: u8 = 1;
/// The same: the constant is where the only value of a map is (`BPF_PSEUDO_MAP_VALUE`).
const IS_VALUE: u8 = 2;
/// The same, of a map that has no descriptor yet, by its number among the lists; the kernel knows nothing of that.
const IS_LIST: u8 = 8;
const LIST_IS_MAP: u8 = IS_LIST | IS_MAP;
const LIST_IS_VALUE: u8 = IS_LIST | IS_VALUE;

/// When a jump is taken.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum When {
    Equal = 0x15,
    Greater = 0x25,
    NotEqual = 0x55,
    Less = 0xa5,
}

/// A place that jumps go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

/// Instructions so far.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    code: Vec<u64>,
    /// Where each label stands; none does before it is placed.
    labels: Vec<Option<usize>>,
    /// Jumps, and where they go to.
    jumps: Vec<(usize, Label)>,
}

fn instruction(operation: u8, to: u8, from: u8, offset: i16, immediate: i32) -> u64 {
    let [low, high] = offset.to_le_bytes();
    let [a, b, c, d] = immediate.to_le_bytes();
    u64::from_le_bytes([operation, to | from << 4, low, high, a, b, c, d])
}

impl Assembler {
    /// A label that is placed later.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Places a label here.
    pub(super) fn place(&mut self, label: Label) {
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = Some(self.code.len());
        }
    }

    pub(super) fn load_64(&mut self, to: u8, from: u8, offset: i16) {
        self.code.push(instruction(LOAD_64, to, from, offset, 0));
    }

    pub(super) fn load_32(&mut self, to: u8, from: u8, offset: i16) {
        self.code.push(instruction(LOAD_32, to, from, offset, 0));
    }

    pub(super) fn load_8(&mut self, to: u8, from: u8, offset: i16) {
        self.code.push(instruction(LOAD_8, to, from, offset, 0));
    }

    /// Stores a register at an offset from the address in another one.
    pub(super) fn store_32(&mut self, to: u8, offset: i16, from: u8) {
        self.code.push(instruction(STORE_32, to, from, offset, 0));
    }

    pub(super) fn store_64(&mut self, to: u8, offset: i16, from: u8) {
        self.code.push(instruction(STORE_64, to, from, offset, 0));
    }

    /// A number that may have all of its bits.
    pub(super) fn constant(&mut self, to: u8, number: u64) {
        match small(number) {
            Some(number) => self.code.push(instruction(MOVE, to, 0, 0, number)),
            None => self.wide(to, 0, number),
        }
    }

    /// A map, by its descriptor.
    pub(super) fn map(&mut self, to: u8, descriptor: u32) {
        self.wide(to, IS_MAP, descriptor.into());
    }

    /// The map of a list, by its number.
    pub(super) fn list(&mut self, to: u8, number: u32) {
        self.wide(to, LIST_IS_MAP, number.into());
    }

    /// Where the only value in the map of a list is.
    pub(super) fn value_of_list(&mut self, to: u8, number: u32) {
        self.wide(to, LIST_IS_VALUE, number.into());
    }

    /// A constant of 64 bits takes two instructions.
    fn wide(&mut self, to: u8, kind: u8, number: u64) {
        let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
        self.code.push(instruction(LOAD_CONSTANT, to, kind, 0, i32::from_le_bytes([a, b, c, d])));
        self.code.push(instruction(0, 0, 0, 0, i32::from_le_bytes([e, f, g, h])));
    }

    pub(super) fn copy(&mut self, to: u8, from: u8) {
        self.code.push(instruction(MOVE_REGISTER, to, from, 0, 0));
    }

    pub(super) fn add(&mut self, to: u8, number: i32) {
        self.code.push(instruction(ADD, to, 0, 0, number));
    }

    pub(super) fn add_register(&mut self, to: u8, from: u8) {
        self.code.push(instruction(ADD_REGISTER, to, from, 0, 0));
    }

    pub(super) fn or(&mut self, to: u8, bits: i32) {
        self.code.push(instruction(OR, to, 0, 0, bits));
    }

    /// Leaves the bits of a mask; a wide one takes R3.
    pub(super) fn and(&mut self, to: u8, mask: u64) {
        if let Some(mask) = small(mask) {
            self.code.push(instruction(AND, to, 0, 0, mask));
        } else {
            self.wide(R3, 0, mask);
            self.code.push(instruction(AND_REGISTER, to, R3, 0, 0));
        }
    }

    pub(super) fn shift_right(&mut self, to: u8, bits: u32) {
        self.code.push(instruction(SHIFT_RIGHT, to, 0, 0, bits as i32));
    }

    pub(super) fn shift_right_by_register(&mut self, to: u8, from: u8) {
        self.code.push(instruction(SHIFT_RIGHT_BY_REGISTER, to, from, 0, 0));
    }

    /// Turns 64 bits that were loaded in network order into a number.
    pub(super) fn swap_64(&mut self, to: u8) {
        self.code.push(instruction(TO_NETWORK_ORDER, to, 0, 0, 64));
    }

    pub(super) fn call(&mut self, helper: i32) {
        self.code.push(instruction(CALL, 0, 0, 0, helper));
    }

    pub(super) fn exit(&mut self) {
        self.code.push(instruction(EXIT, 0, 0, 0, 0));
    }

    pub(super) fn jump(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.code.push(instruction(JUMP, 0, 0, 0, 0));
    }

    /// Jumps if a register compares so with a number, as one without a sign; a wide one takes R3.
    pub(super) fn jump_if(&mut self, when: When, register: u8, number: u64, label: Label) {
        let code = if let Some(number) = small(number) {
            instruction(when as u8, register, 0, 0, number)
        } else {
            self.wide(R3, 0, number);
            instruction(when as u8 | WITH_REGISTER, register, R3, 0, 0)
        };
        self.jumps.push((self.code.len(), label));
        self.code.push(code);
    }

    /// How many instructions there are.
    pub(super) fn len(&self) -> usize {
        self.code.len()
    }

    /// The instructions that can be reached, since a verifier refuses others; `None` if a jump goes further than its 16
    /// bits say, or to a label that stands nowhere.
    pub(super) fn finish(self) -> Option<Vec<u64>> {
        let target =
            |(from, label): &(usize, Label)| Some((*from, self.labels.get(label.0).copied().flatten()?));
        let targets: BTreeMap<usize, usize> = self.jumps.iter().map(target).collect::<Option<_>>()?;
        let reached = self.reached(&targets);
        // Where each instruction stands among those that are left.
        let left = reached.iter().scan(0, |before, is_reached| {
            let place = *before;
            *before += usize::from(*is_reached);
            Some(place)
        });
        let places: Vec<usize> = left.collect();
        let mut code = vec![];
        for (at, instruction) in self.code.iter().enumerate().filter(|(at, _)| reached[*at]) {
            let offset = targets.get(&at).map(|to| places[*to].checked_sub(places[at] + 1));
            let [low, high] = i16::try_from(offset.unwrap_or(Some(0))?).ok()?.to_le_bytes();
            let jump = u64::from_le_bytes([0, 0, low, high, 0, 0, 0, 0]);
            code.push(*instruction | jump);
        }
        Some(code)
    }

    /// Which instructions can be reached, and the end behind them; all jumps go forward.
    fn reached(&self, targets: &BTreeMap<usize, usize>) -> Vec<bool> {
        let mut reached = vec![false; self.code.len() + 1];
        reached[0] = true;
        for (at, instruction) in self.code.iter().enumerate() {
            if !reached[at] {
                continue;
            }
            let [operation, ..] = instruction.to_le_bytes();
            if ![JUMP, EXIT].contains(&operation) {
                reached[at + 1] = true;
            }
            if let Some(to) = targets.get(&at) {
                reached[*to] = true;
            }
        }
        reached
    }
}

/// Instructions with the descriptors of maps in the places of lists; one without a descriptor stays as it is, which no kernel
/// takes.
pub(super) fn with_descriptors(code: &[u64], descriptors: &[u32]) -> Vec<u64> {
    let with_descriptor = |code: &u64| {
        let [operation, registers, _, _, a, b, c, d] = code.to_le_bytes();
        if operation != LOAD_CONSTANT || registers >> 4 < IS_LIST {
            return *code;
        }
        let number = u32::from_le_bytes([a, b, c, d]) as usize;
        let descriptor = |descriptor: &u32| {
            let kind = registers >> 4 & !IS_LIST;
            instruction(LOAD_CONSTANT, registers & 0xf, kind, 0, descriptor.cast_signed())
        };
        descriptors.get(number).map_or(*code, descriptor)
    };
    code.iter().map(with_descriptor).collect()
}

/// A number as the kernel and every interpreter extend it alike to 64 bits: those have the highest of 32 bits clear.
fn small(number: u64) -> Option<i32> {
    i32::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_encoded_as_the_kernel_reads_them() {
        let mut out = Assembler::default();
        let end = out.label();
        out.load_64(R7, R9, 32);
        out.constant(R1, 5);
        out.constant(R1, 0x1_0000_0002);
        out.map(R2, 7);
        out.jump_if(When::Less, R1, 80, end);
        out.store_32(R10, -4, R1);
        out.store_64(R9, 16, R2);
        out.or(R8, 2);
        out.place(end);
        out.exit();
        let octets: Vec<_> = out.finish().unwrap().into_iter().map(u64::to_le_bytes).collect();
        let expected = [
            [0x79, 0x97, 32, 0, 0, 0, 0, 0],
            [0xb7, 0x01, 0, 0, 5, 0, 0, 0],
            [0x18, 0x01, 0, 0, 2, 0, 0, 0],
            [0x00, 0x00, 0, 0, 1, 0, 0, 0],
            [0x18, 0x12, 0, 0, 7, 0, 0, 0],
            [0x00, 0x00, 0, 0, 0, 0, 0, 0],
            [0xa5, 0x01, 3, 0, 80, 0, 0, 0],
            [0x63, 0x1a, 0xfc, 0xff, 0, 0, 0, 0],
            [0x7b, 0x29, 16, 0, 0, 0, 0, 0],
            [0x47, 0x08, 0, 0, 2, 0, 0, 0],
            [0x95, 0x00, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(octets, expected);
    }

    #[test]
    fn lists_have_descriptors_in_the_end() {
        let mut out = Assembler::default();
        out.map(R1, 3);
        out.list(R1, 0);
        out.value_of_list(R2, 1);
        out.list(R2, 2);
        let code = out.finish().unwrap();
        let octets: Vec<_> = with_descriptors(&code, &[70, 80]).into_iter().map(u64::to_le_bytes).collect();
        let halves = [
            [0x18, 0x11, 0, 0, 3, 0, 0, 0],
            [0x18, 0x11, 0, 0, 70, 0, 0, 0],
            [0x18, 0x22, 0, 0, 80, 0, 0, 0],
            [0x18, 0x92, 0, 0, 2, 0, 0, 0],
        ];
        assert_eq!(octets, halves.map(|half| [half, [0; 8]]).as_flattened());
    }

    #[test]
    fn a_jump_that_goes_nowhere_is_told() {
        let mut out = Assembler::default();
        let label = out.label();
        out.jump(label);
        assert_eq!(out.finish(), None);
        let mut out = Assembler::default();
        let label = out.label();
        out.jump_if(When::Equal, R1, 0, label);
        (0..40_000).for_each(|_| out.copy(R1, R2));
        out.place(label);
        out.exit();
        assert_eq!(out.finish(), None);
    }

    #[test]
    fn what_cannot_be_reached_is_left_out() {
        let mut out = Assembler::default();
        let label = out.label();
        out.jump(label);
        out.constant(R1, u64::MAX);
        out.place(label);
        out.exit();
        let exit = u64::from(EXIT);
        assert_eq!(out.finish(), Some(vec![JUMP.into(), exit]));
    }
}
