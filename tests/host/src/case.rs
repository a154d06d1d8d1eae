// SPDX-License-Identifier: GPL-2.0

//! What the bytes of a fuzzer mean.

use super::{
    check::{self, Space},
    model::{self, Op, PAGE_SIZE},
    op::RawOp,
    plan::MAX_PAGES,
};
use std::ops::Range;

/// The memory that vectors run on, from address zero on.
const MEMORY: u64 = 4 * PAGE_SIZE as u64;

/// The most operations of a case: a few more than a vector may have.
const OPS_MAX: usize = 18;

/// Lengths at which something changes.
const LENS: [u32; 24] = [
    0,
    1,
    2,
    4,
    8,
    3,
    5,
    7,
    9,
    15,
    16,
    17,
    64,
    119,
    120,
    121,
    2048,
    4088,
    4095,
    4096,
    4097,
    1 << 16,
    1 << 31,
    u32::MAX,
];

/// A vector and what it meets, which every sequence of bytes is.
///
/// The first bytes tell what the vector meets, the others are its operations: as user space lays
/// them out, or as numbers that lead to what matters by few changes.
pub struct Case {
    ops: Vec<Op>,
    raw: Vec<RawOp>,
    /// The bytes that the memory consists of, again and again.
    contents: Vec<u8>,
    hole: Range<u64>,
    space: Space,
    room: usize,
    more_room: Option<usize>,
}

impl Case {
    /// Makes a case of bytes. Those that are missing are zero.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (header, rest) = take::<16>(bytes);
        let [shape, bias, limit, room, more_room, hole_0, hole_1, hole_len, period, fill, ..] =
            header;

        let bias = [
            0,
            1 << 46,
            0u64.wrapping_sub(MEMORY),
            0u64.wrapping_sub(PAGE_SIZE as u64),
        ][usize::from(bias % 4)];
        let limit = match u128::from(limit % 8) {
            0 => 1 << 64,
            pages => (u128::from(bias) + pages * PAGE_SIZE).min(1 << 64),
        };
        let hole_start = u64::from(u16::from_le_bytes([hole_0, hole_1])) % MEMORY;

        let (ops, raw) = match shape % 3 {
            0 => laid_out(rest, false),
            1 => laid_out(rest, true),
            _ => composed(rest, fill as i8),
        };
        Self {
            ops,
            raw,
            contents: header[10..11 + usize::from(period % 6)].to_vec(),
            hole: hole_start..hole_start + u64::from(hole_len),
            space: Space { bias, limit },
            room: usize::from(room) % (MAX_PAGES + 1),
            more_room: (more_room != 0).then_some(usize::from(more_room) % (MAX_PAGES + 1)),
        }
    }

    /// Compares the modules with the models, and panics if they differ.
    pub fn check(&self) {
        let ops = &self.ops[..];
        let Some(vector) = check::vector(&self.raw, ops) else {
            return;
        };

        let mut contents = self
            .contents
            .repeat(MEMORY as usize / self.contents.len() + 1);
        contents.truncate(MEMORY as usize);
        check::run(vector, ops, contents, &self.hole);

        // The hole is an area as any other, and often not one of the vector.
        let areas = [(self.hole.start, (self.hole.end - self.hole.start) as u32)];
        let Self {
            room, more_room, ..
        } = *self;
        check::plan(vector, ops, &self.space, room, more_room, &areas);

        for op in ops.iter().filter(|op| op.takes_areas()) {
            let is_addressable = |addr: u64| addr.checked_add(op.len.into()).is_some();
            if is_addressable(op.first) && is_addressable(op.second) {
                check::pieces(op.first, op.second, op.len);
            }
        }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, op) in self.ops.iter().enumerate() {
            writeln!(f, "{index:2}: {op:x?}")?;
        }
        writeln!(f, "memory: {:x?}, hole: {:x?}", self.contents, self.hole)?;
        write!(f, "{:x?}, ", self.space)?;
        write!(f, "room: {}, more room: {:?}", self.room, self.more_room)
    }
}

/// Splits off the first bytes. Those that are missing are zero.
fn take<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    let (head, rest) = bytes.split_at(N.min(bytes.len()));
    let mut taken = [0; N];

    taken[..head.len()].copy_from_slice(head);
    (taken, rest)
}

/// Returns operations as user space lays them out, with addresses in the memory if `nearby`.
fn laid_out(mut bytes: &[u8], nearby: bool) -> (Vec<Op>, Vec<RawOp>) {
    let mut ops = Vec::new();
    let mut raw = Vec::new();

    while !bytes.is_empty() && ops.len() < OPS_MAX {
        let (mut op, rest) = take::<32>(bytes);
        bytes = rest;
        if nearby {
            // The high bytes of both arguments, of which the second is no address in some.
            let areas = Op::from_bytes(&op).takes_areas();
            let high_bytes = |byte: usize| byte + 2..byte + 8;
            op[high_bytes(8)].fill(0);
            op[9] %= (MEMORY >> 8) as u8;
            if areas {
                op[high_bytes(16)].fill(0);
                op[17] %= (MEMORY >> 8) as u8;
            }
        }
        ops.push(Op::from_bytes(&op));
        // SAFETY: Any bytes make the integers of a `RawOp`, which has no others.
        raw.push(unsafe { std::mem::transmute::<[u8; 32], RawOp>(op) });
    }
    (ops, raw)
}

/// Returns operations that numbers choose.
fn composed(mut bytes: &[u8], fill: i8) -> (Vec<Op>, Vec<RawOp>) {
    let mut ops = Vec::new();
    let mut places = Places(Vec::new());

    while !bytes.is_empty() && ops.len() < OPS_MAX {
        let (record, rest) = take::<16>(bytes);
        bytes = rest;
        let [kind, len_0, len_1, f0, f1, f2, value @ .., expect_0, expect_1] = record;
        let [s0, s1, s2, ..] = value;

        let op = i32::from(kind % 14) - 1;
        let len = if len_1 % 2 == 0 {
            LENS[usize::from(len_0) % LENS.len()]
        } else {
            u32::from(len_0) | u32::from(len_1 / 2 % 32) << 8
        };
        let mut op = Op {
            op,
            len,
            first: places.choose([f0, f1, f2], len),
            second: u64::from_le_bytes(value),
            expect_faults: [expect_0, expect_1],
            fill,
        };
        if op.takes_areas() {
            op.second = places.choose([s0, s1, s2], len);
        } else if matches!(op.op, 7 | 8) {
            // What is above the count is another member.
            op.second = op.second & !0xffff_ffff | u64::from(s0 % 66);
        }
        ops.push(op);
    }
    let raw = model::raw(&ops);
    (ops, raw)
}

/// Where the operands so far are, by address and length.
struct Places(Vec<(u64, u32)>);

impl Places {
    /// Returns a place for an operand: near the start of one of many pages or of one in the memory,
    /// anywhere in it, or near the start or the end of an operand before.
    fn choose(&mut self, [kind, x, y]: [u8; 3], len: u32) -> u64 {
        let offset = i64::from(y as i8);
        let (start, len_before) = match self.0.len() {
            0 => (0, 0),
            count => self.0[usize::from(x) % count],
        };
        let addr = match kind % 4 {
            0 if kind > 127 => (u64::from(x) * PAGE_SIZE as u64).wrapping_add_signed(offset),
            0 => (u64::from(x % 4) * PAGE_SIZE as u64).wrapping_add_signed(offset),
            1 => u64::from(u16::from_le_bytes([x, y])) % MEMORY,
            2 => start.wrapping_add_signed(offset),
            _ => {
                let end = start.wrapping_add(len_before.into());
                end.wrapping_add_signed(offset)
            }
        };

        self.0.push((addr, len));
        addr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What fuzzing has found: each line is an input, in hexadecimal.
    const CORPUS: &str = include_str!("../../corpus/pure");

    fn bytes(line: &str) -> Vec<u8> {
        let digits = line.as_bytes().chunks(2);
        let byte = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        };

        let bytes: Option<_> = digits.map(byte).collect();
        bytes.unwrap_or_else(|| panic!("not hexadecimal: {line}"))
    }

    #[test]
    fn corpus_has_no_difference() {
        let inputs = CORPUS.lines().filter(|line| !line.starts_with('#'));
        let mut count = 0;

        for line in inputs {
            let case = Case::from_bytes(&bytes(line));
            // The harness shows this if the case fails.
            println!("{line}\n{case}");
            case.check();
            count += 1;
        }
        assert!(count > 0);
    }
}
