// SPDX-License-Identifier: GPL-2.0

//! Vectors as a program states them, and what the contract of the system call says of them.
//!
//! All numbers here are those of the contract, and none is taken from the header.

use super::op::RawOp;
use crate::uapi;
use std::ops::Range;

pub(crate) const PAGE_SIZE: u128 = 4096;

/// The most that the lengths of all operations may be in sum.
pub(crate) const SUM_MAX: u32 = 4096 + 15 * 8;

/// An operation. What its operation code has no use for is ignored.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) op: i32,
    pub(crate) len: u32,
    /// The address of the first operand.
    pub(crate) first: u64,
    /// The address of the second operand, or the count, mask, or number of bits.
    pub(crate) second: u64,
    pub(crate) expect_faults: [u8; 2],
    /// What the bytes that are not set have.
    pub(crate) fill: i8,
}

/// An area that an operation accesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) addr: u64,
    pub(crate) len: u32,
    pub(crate) expect_fault: bool,
    pub(crate) written: bool,
}

impl Op {
    /// Returns the operation that a program has laid out in these bytes.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let word = |start: usize| -> [u8; 8] {
            let word = bytes[start..].first_chunk();
            *word.expect("the words are within the operation")
        };
        let [o0, o1, o2, o3, l0, l1, l2, l3] = word(0);
        let (first, second, tail) = (word(8), word(16), word(24));
        let op = i32::from_ne_bytes([o0, o1, o2, o3]);
        let is_shift = matches!(op, 7 | 8);
        let bits = u32::from_ne_bytes([second[0], second[1], second[2], second[3]]);

        Self {
            op,
            len: u32::from_ne_bytes([l0, l1, l2, l3]),
            first: u64::from_ne_bytes(first),
            second: if is_shift {
                bits.into()
            } else {
                u64::from_ne_bytes(second)
            },
            expect_faults: if is_shift {
                [second[4], 0]
            } else {
                [tail[0], tail[1]]
            },
            fill: 0,
        }
    }

    /// Returns the operation as the program passes it to the system call.
    pub(crate) fn raw(&self) -> RawOp {
        let mut raw = uapi::cpu_op {
            op: self.op,
            len: self.len,
            u: uapi::cpu_op__bindgen_ty_1 {
                __padding: [self.fill; 24],
            },
        };
        let [first_faults, second_faults] = self.expect_faults;

        match self.op {
            0 | 1 => {
                raw.u.compare_op.a = self.first;
                raw.u.compare_op.b = self.second;
                raw.u.compare_op.expect_fault_a = first_faults;
                raw.u.compare_op.expect_fault_b = second_faults;
            }

            2 | 10 => {
                raw.u.memcpy_op.dst = self.first;
                raw.u.memcpy_op.src = self.second;
                raw.u.memcpy_op.expect_fault_dst = first_faults;
                raw.u.memcpy_op.expect_fault_src = second_faults;
            }

            3 | 11 => {
                raw.u.arithmetic_op.p = self.first;
                raw.u.arithmetic_op.count = self.second as i64;
                raw.u.arithmetic_op.expect_fault_p = first_faults;
            }

            4..=6 => {
                raw.u.bitwise_op.p = self.first;
                raw.u.bitwise_op.mask = self.second;
                raw.u.bitwise_op.expect_fault_p = first_faults;
            }

            7 | 8 => {
                raw.u.shift_op.p = self.first;
                raw.u.shift_op.bits = self.second as u32;
                raw.u.shift_op.expect_fault_p = first_faults;
            }

            _ => {}
        }

        // SAFETY: All bytes of `raw` have a value, and any value makes integers.
        unsafe { std::mem::transmute::<uapi::cpu_op, RawOp>(raw) }
    }

    pub(crate) fn takes_areas(&self) -> bool {
        matches!(self.op, 0..=2 | 10)
    }

    fn is_valid(&self) -> bool {
        let is_integer = [1, 2, 4, 8].contains(&self.len);

        match self.op {
            0..=2 | 10 => self.len <= 4096,
            3..=6 | 11 => is_integer,
            7 | 8 => is_integer && (self.second as u32) < 8 * self.len,
            9 => self.len == 0,
            _ => false,
        }
    }

    /// Returns what the operation accesses.
    pub(crate) fn operands(&self) -> Vec<Operand> {
        let operand = |addr, expect_fault: u8, written| Operand {
            addr,
            len: self.len,
            expect_fault: expect_fault > 0,
            written,
        };
        let [first_faults, second_faults] = self.expect_faults;
        let mut operands = Vec::new();

        if self.len > 0 {
            operands.push(operand(self.first, first_faults, self.op > 1));
            if self.takes_areas() {
                operands.push(operand(self.second, second_faults, false));
            }
        }
        operands
    }
}

pub(crate) fn raw(ops: &[Op]) -> Vec<RawOp> {
    ops.iter().map(Op::raw).collect()
}

/// Returns whether a vector is one that the system call runs.
pub(crate) fn is_valid(ops: &[Op]) -> bool {
    let sum: u64 = ops.iter().map(|op| u64::from(op.len)).sum();

    ops.len() <= 16 && ops.iter().all(Op::is_valid) && sum <= SUM_MAX.into()
}

/// Returns the pages of an area, of which none may be empty.
pub(crate) fn pages_of(addr: u128, len: u32) -> impl Iterator<Item = u128> {
    let end = addr + u128::from(len);

    (addr / PAGE_SIZE..end.div_ceil(PAGE_SIZE)).map(|number| number * PAGE_SIZE)
}

/// How a vector ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this value of the system call.
    Returned(usize),
    /// An operand is not accessible.
    Faulted,
}

/// An access to memory, by address and length.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Load(u64, u32),
    Store(u64, u32),
    /// Of two areas that may be no integers.
    Compare(u64, u64, u32),
    /// From the second area to the first, which may be no integers.
    Copy(u64, u64, u32),
    Barrier,
}

impl Op {
    /// Returns how the operation accesses memory.
    fn accesses(&self) -> Vec<Access> {
        let is_integer = [1, 2, 4, 8].contains(&self.len);
        let load = |addr| Access::Load(addr, self.len);
        let store = Access::Store(self.first, self.len);
        let mut accesses = Vec::new();

        if matches!(self.op, 9..=11) {
            accesses.push(Access::Barrier);
        }
        match self.op {
            0 | 1 if is_integer => accesses.extend([load(self.first), load(self.second)]),
            0 | 1 => accesses.push(Access::Compare(self.first, self.second, self.len)),
            2 | 10 if is_integer => accesses.extend([load(self.second), store]),
            2 | 10 => accesses.push(Access::Copy(self.first, self.second, self.len)),
            9 => {}
            _ => accesses.extend([load(self.first), store]),
        }
        accesses
    }
}

/// Runs a valid vector on `memory`, which starts at address zero and has a hole.
///
/// Returns the end, and all accesses, of which the last ones are not made if it faults.
pub(crate) fn run(ops: &[Op], memory: &mut [u8], hole: &Range<u64>) -> (End, Vec<Access>) {
    let mut accesses = Vec::new();

    for (index, op) in ops.iter().enumerate() {
        accesses.extend(op.accesses());
        let is_accessible = |operand: &Operand| is_accessible(operand, memory.len(), hole);
        if !op.operands().iter().all(is_accessible) {
            return (End::Faulted, accesses);
        }
        if op.len == 0 {
            // Two empty areas are equal.
            if op.op == 1 {
                return (End::Returned(index + 1), accesses);
            }
            continue;
        }

        let len = op.len as usize;
        let area = |addr: u64| addr as usize..addr as usize + len;
        match op.op {
            0 | 1 => {
                let equal = memory[area(op.first)] == memory[area(op.second)];
                if equal != (op.op == 0) {
                    return (End::Returned(index + 1), accesses);
                }
            }

            2 | 10 => {
                let bytes = memory[area(op.second)].to_vec();
                memory[area(op.first)].copy_from_slice(&bytes);
            }

            _ => {
                let p = &mut memory[area(op.first)];
                let replaced = replaced(op, integer(p));
                set_integer(p, replaced);
            }
        }
    }

    (End::Returned(0), accesses)
}

/// Returns whether an operand is in memory from address zero on, and outside of the hole.
fn is_accessible(operand: &Operand, memory: usize, hole: &Range<u64>) -> bool {
    let start = u128::from(operand.addr);
    let end = start + u128::from(operand.len);
    let hole = u128::from(hole.start)..u128::from(hole.end);

    end <= memory as u128 && (hole.is_empty() || end <= hole.start || hole.end <= start)
}

/// Returns what an operation replaces an integer by, with more bits than the integer may have.
fn replaced(op: &Op, value: u128) -> u128 {
    let by = u128::from(op.second);
    let bits = op.second as u32;

    match op.op {
        3 | 11 => value + by,
        4 => value | by,
        5 => value & by,
        6 => value ^ by,
        7 => value << bits,
        _ => value >> bits,
    }
}

/// Returns the indices of the bytes of an integer, the lowest first.
fn from_lowest(len: usize) -> Box<dyn Iterator<Item = usize>> {
    if cfg!(target_endian = "big") {
        Box::new((0..len).rev())
    } else {
        Box::new(0..len)
    }
}

pub(crate) fn integer(bytes: &[u8]) -> u128 {
    let bytes = from_lowest(bytes.len()).map(|index| u128::from(bytes[index]));
    bytes.zip(0..).map(|(byte, pos)| byte << (8 * pos)).sum()
}

pub(crate) fn set_integer(bytes: &mut [u8], mut value: u128) {
    for index in from_lowest(bytes.len()) {
        bytes[index] = (value % 256) as u8;
        value /= 256;
    }
}
