// SPDX-License-Identifier: GPL-2.0

//! Decoding of a vector of operations.
//!
//! What user space passed becomes a [`Vector`] only if all of it is valid, and the operations of a
//! [`Vector`] are seen as [`Op`]s only, so that nothing after this step meets an invalid one.
//!
//! Pure logic, which is also compiled and tested outside the kernel.

use crate::{
    mm::gup::Access,
    uaccess::nofault::Width,
    uapi, //
};
use core::convert::Infallible;

/// The maximum number of operations in a vector.
pub(super) const VEC_LEN_MAX: usize = uapi::CPU_OP_VEC_LEN_MAX as usize;

/// The maximum length of a comparison or copy, in bytes.
const DATA_LEN_MAX: u32 = uapi::CPU_OP_DATA_LEN_MAX;

/// The maximum sum of the lengths of a vector, in bytes.
const VEC_DATA_LEN_MAX: u32 = uapi::CPU_OP_VEC_DATA_LEN_MAX;

/// An operation as user space lays it out, `struct cpu_op`, not validated.
///
/// The arguments are three words in each kind of operation: one or two addresses, or an address and
/// an integer, then the `expect_fault` bytes. A shift count takes half a word, and the byte that
/// follows it is in the same word.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct RawOp {
    pub(super) op: i32,
    pub(super) len: u32,
    pub(super) args: [u64; 3],
}

impl RawOp {
    /// Returns the type of the operation, one of [`uapi::cpu_op_type`] if it is valid.
    #[inline]
    fn kind(&self) -> u32 {
        // CAST: No type of operation is negative.
        self.op as u32
    }

    /// Returns whether the operation is valid by itself.
    #[inline]
    fn is_valid(&self) -> bool {
        match self.kind() {
            uapi::cpu_op_type_CPU_COMPARE_EQ_OP
            | uapi::cpu_op_type_CPU_COMPARE_NE_OP
            | uapi::cpu_op_type_CPU_MEMCPY_OP
            | uapi::cpu_op_type_CPU_MEMCPY_RELEASE_OP => self.len <= DATA_LEN_MAX,
            uapi::cpu_op_type_CPU_ADD_OP
            | uapi::cpu_op_type_CPU_ADD_RELEASE_OP
            | uapi::cpu_op_type_CPU_OR_OP
            | uapi::cpu_op_type_CPU_AND_OP
            | uapi::cpu_op_type_CPU_XOR_OP => Width::from_bytes(self.len as usize).is_some(),
            uapi::cpu_op_type_CPU_LSHIFT_OP | uapi::cpu_op_type_CPU_RSHIFT_OP => {
                Width::from_bytes(self.len as usize)
                    .is_some_and(|width| self.shift_count() < width.bits())
            }
            uapi::cpu_op_type_CPU_MB_OP => self.len == 0,
            _ => false,
        }
    }

    /// Returns whether there are two operands.
    #[inline]
    fn has_second_operand(&self) -> bool {
        matches!(
            self.kind(),
            uapi::cpu_op_type_CPU_COMPARE_EQ_OP
                | uapi::cpu_op_type_CPU_COMPARE_NE_OP
                | uapi::cpu_op_type_CPU_MEMCPY_OP
                | uapi::cpu_op_type_CPU_MEMCPY_RELEASE_OP
        )
    }

    /// Returns whether anything is stored, which is to the first operand.
    #[inline]
    fn stores(&self) -> bool {
        // A barrier has no length.
        self.len != 0
            && !matches!(
                self.kind(),
                uapi::cpu_op_type_CPU_COMPARE_EQ_OP | uapi::cpu_op_type_CPU_COMPARE_NE_OP
            )
    }

    /// Returns whether it is ordered after everything before it.
    #[inline]
    fn is_ordered(&self) -> bool {
        matches!(
            self.kind(),
            uapi::cpu_op_type_CPU_MB_OP
                | uapi::cpu_op_type_CPU_MEMCPY_RELEASE_OP
                | uapi::cpu_op_type_CPU_ADD_RELEASE_OP
        )
    }

    /// Returns the operand of an index, below the number of operands.
    #[inline]
    fn operand(&self, index: usize) -> Operand {
        let [first, second, tail] = self.args;
        let is_shift = matches!(
            self.kind(),
            uapi::cpu_op_type_CPU_LSHIFT_OP | uapi::cpu_op_type_CPU_RSHIFT_OP
        );
        let (addr, expect_fault) = match index {
            0 if is_shift => (first, second.to_ne_bytes()[4]),
            0 => (first, tail.to_ne_bytes()[0]),
            _ => (second, tail.to_ne_bytes()[1]),
        };

        Operand {
            addr,
            len: self.len,
            expect_fault: expect_fault != 0,
        }
    }

    /// Returns the integer of an arithmetic or bitwise operation.
    #[inline]
    fn value(&self) -> u64 {
        let [_, value, _] = self.args;
        value
    }

    /// Returns by how many bits a shift operation shifts.
    #[inline]
    fn shift_count(&self) -> u32 {
        let [b0, b1, b2, b3, ..] = self.value().to_ne_bytes();
        u32::from_ne_bytes([b0, b1, b2, b3])
    }
}

/// The vector is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// An area of user memory that an operation works on. Nothing is known about its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operand {
    pub(super) addr: u64,
    pub(super) len: u32,
    /// Whether the caller is prepared for the area to be inaccessible.
    pub(super) expect_fault: bool,
}

impl Operand {
    /// Returns whether it is an integer that is naturally aligned.
    #[inline]
    fn is_one_access(self) -> bool {
        Width::from_bytes(self.len as usize)
            .is_some_and(|width| self.addr % width.bytes() as u64 == 0)
    }
}

impl Width {
    /// Returns the number of bits.
    #[inline]
    pub(super) fn bits(self) -> u32 {
        // CAST: There are few.
        (self.bytes() as u32).wrapping_mul(u8::BITS)
    }

    /// Returns the integer that memory has as the first of `bytes`, zero-extended. The other bytes
    /// must be zero.
    #[inline]
    pub(super) fn value_of(self, bytes: [u8; 8]) -> u64 {
        if cfg!(target_endian = "big") {
            u64::from_be_bytes(bytes) >> (u64::BITS - self.bits())
        } else {
            u64::from_le_bytes(bytes)
        }
    }

    /// Returns the bytes of an integer, whose low bits are those of `value`, as memory has them:
    /// the first of eight.
    #[inline]
    pub(super) fn bytes_of(self, value: u64) -> [u8; 8] {
        if cfg!(target_endian = "big") {
            (value << (u64::BITS - self.bits())).to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    }

    /// Returns whether an integer at `addr` is naturally aligned.
    #[inline]
    pub(super) fn is_aligned(self, addr: usize) -> bool {
        addr & (self.bytes() - 1) == 0
    }
}

/// How an integer in memory is replaced. Of the result its low bits are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    Add(u64),
    Or(u64),
    And(u64),
    Xor(u64),
    /// The count is less than the width of the integer.
    LeftShift(u32),
    /// The count is less than the width of the integer.
    RightShift(u32),
}

/// A valid operation, with the addresses of its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Stops the vector unless the operands, of one length, are equal, or are not.
    Compare {
        a: u64,
        b: u64,
        len: usize,
        equal: bool,
    },
    /// Copies between operands of one length.
    Copy {
        dst: u64,
        src: u64,
        len: usize,
        release: bool,
    },
    /// Replaces an integer.
    Update {
        p: u64,
        width: Width,
        update: Update,
        release: bool,
    },
    /// Full memory barrier.
    Barrier,
}

impl Op {
    /// Decodes an operation that is valid.
    ///
    /// Always in line: what runs the operation then jumps where its type says, and no copy of the
    /// result is made.
    #[inline(always)]
    fn decode(raw: &RawOp) -> Self {
        let [first, second, _] = raw.args;
        let len = raw.len as usize;
        let compare = |equal| Self::Compare {
            a: first,
            b: second,
            len,
            equal,
        };
        let copy = |release| Self::Copy {
            dst: first,
            src: second,
            len,
            release,
        };
        let update = |update, release| Self::Update {
            p: first,
            // INVARIANT: The operation is valid.
            width: Width(len),
            update,
            release,
        };

        match raw.kind() {
            uapi::cpu_op_type_CPU_COMPARE_EQ_OP => compare(true),
            uapi::cpu_op_type_CPU_COMPARE_NE_OP => compare(false),
            uapi::cpu_op_type_CPU_MEMCPY_OP => copy(false),
            uapi::cpu_op_type_CPU_MEMCPY_RELEASE_OP => copy(true),
            uapi::cpu_op_type_CPU_ADD_OP => update(Update::Add(raw.value()), false),
            uapi::cpu_op_type_CPU_ADD_RELEASE_OP => update(Update::Add(raw.value()), true),
            uapi::cpu_op_type_CPU_OR_OP => update(Update::Or(raw.value()), false),
            uapi::cpu_op_type_CPU_AND_OP => update(Update::And(raw.value()), false),
            uapi::cpu_op_type_CPU_XOR_OP => update(Update::Xor(raw.value()), false),
            uapi::cpu_op_type_CPU_LSHIFT_OP => update(Update::LeftShift(raw.shift_count()), false),
            uapi::cpu_op_type_CPU_RSHIFT_OP => update(Update::RightShift(raw.shift_count()), false),
            // There is no other valid one.
            _ => Self::Barrier,
        }
    }
}

/// A valid vector of operations.
///
/// # Invariants
///
/// Each element is valid, and so is their sum.
#[derive(Clone, Copy)]
pub(super) struct Vector<'a> {
    raw: &'a [RawOp],
}

impl<'a> Vector<'a> {
    /// Validates a vector.
    pub(super) fn new(raw: &'a [RawOp]) -> Result<Self, Invalid> {
        if raw.len() > VEC_LEN_MAX {
            return Err(Invalid);
        }

        let mut sum = 0u32;
        for op in raw {
            if !op.is_valid() {
                return Err(Invalid);
            }
            // Each of the few lengths is limited, so this does not wrap.
            sum = sum.wrapping_add(op.len);
        }
        if sum > VEC_DATA_LEN_MAX {
            return Err(Invalid);
        }

        // INVARIANT: This was just checked.
        Ok(Self { raw })
    }

    /// Returns the operations in order.
    #[inline]
    pub(super) fn ops(self) -> impl ExactSizeIterator<Item = Op> + 'a {
        self.raw.iter().map(Op::decode)
    }

    /// Returns the number of operations.
    #[inline]
    pub(super) fn len(self) -> usize {
        self.raw.len()
    }

    /// Returns the operations behind the one at `index`.
    #[inline]
    pub(super) fn after(self, index: usize) -> Self {
        // INVARIANT: A part of a valid vector is valid.
        Self {
            raw: self.raw.get(index + 1..).unwrap_or_default(),
        }
    }

    /// Returns the number of operands.
    pub(super) fn nr_operands(self) -> usize {
        let mut nr = 0;
        let Ok(()) = self.try_for_each_operand(|_, _| {
            nr += 1;
            Ok::<_, Infallible>(())
        });

        nr
    }

    /// Returns whether nothing is stored before the last operation, and by that at most one integer
    /// in one access.
    #[inline]
    pub(super) fn stores_last(self) -> bool {
        let Some((last, before)) = self.raw.split_last() else {
            return true;
        };

        !before.iter().any(RawOp::stores) && (!last.stores() || last.operand(0).is_one_access())
    }

    /// Returns whether a barrier, or an operation that has one, comes before the load of an operand
    /// that is only read.
    pub(super) fn reads_behind_barrier(self) -> bool {
        let mut is_behind = false;

        self.raw.iter().any(|op| {
            is_behind |= op.is_ordered();
            is_behind && op.len != 0 && op.has_second_operand()
        })
    }

    /// Calls `f` with each operand of each operation that takes memory, in order, until it fails.
    #[inline]
    pub(super) fn try_for_each_operand<E>(
        self,
        mut f: impl FnMut(Operand, Access) -> Result<(), E>,
    ) -> Result<(), E> {
        for raw in self.raw {
            // A barrier has none.
            if raw.len == 0 {
                continue;
            }
            let access = if raw.stores() {
                Access::Write
            } else {
                Access::Read
            };
            f(raw.operand(0), access)?;
            if raw.has_second_operand() {
                f(raw.operand(1), Access::Read)?;
            }
        }

        Ok(())
    }
}

#[macros::kunit_tests(rust_cpu_opv_op)]
mod tests {
    use super::*;
    use uapi::{
        cpu_op_type_CPU_ADD_OP as ADD,
        cpu_op_type_CPU_ADD_RELEASE_OP as ADD_RELEASE,
        cpu_op_type_CPU_AND_OP as AND,
        cpu_op_type_CPU_COMPARE_EQ_OP as COMPARE_EQ,
        cpu_op_type_CPU_COMPARE_NE_OP as COMPARE_NE,
        cpu_op_type_CPU_LSHIFT_OP as LSHIFT,
        cpu_op_type_CPU_MB_OP as MB,
        cpu_op_type_CPU_MEMCPY_OP as MEMCPY,
        cpu_op_type_CPU_MEMCPY_RELEASE_OP as MEMCPY_RELEASE,
        cpu_op_type_CPU_OR_OP as OR,
        cpu_op_type_CPU_RSHIFT_OP as RSHIFT,
        cpu_op_type_CPU_XOR_OP as XOR,
        cpu_op_type_NR_CPU_OPS as NR_OPS, //
    };

    const A: u64 = 0x1122_3344_5566_7788;
    const B: u64 = 0x99aa_bbcc_ddee_ff01;

    const AREAS: [u32; 4] = [COMPARE_EQ, COMPARE_NE, MEMCPY, MEMCPY_RELEASE];
    const INTEGERS: [u32; 7] = [ADD, ADD_RELEASE, OR, AND, XOR, LSHIFT, RSHIFT];

    const WIDTHS: [Width; 4] = [Width::U8, Width::U16, Width::U32, Width::U64];

    fn raw(op: u32, len: u32, args: [u64; 3]) -> RawOp {
        let op = op as i32;
        RawOp { op, len, args }
    }

    fn sized(op: u32, len: u32) -> RawOp {
        raw(op, len, [0; 3])
    }

    fn is_valid(raw: &RawOp) -> bool {
        Vector::new(core::slice::from_ref(raw)).is_ok()
    }

    fn decoded(raw: &RawOp) -> Option<Op> {
        Vector::new(core::slice::from_ref(raw)).ok()?.ops().next()
    }

    /// Returns the operands of a valid operation, and that there are no more.
    fn operands(raw: &RawOp) -> [Option<(Operand, Access)>; 3] {
        let mut operands = [None; 3];
        let mut free = operands.iter_mut();

        if let Ok(vector) = Vector::new(core::slice::from_ref(raw)) {
            let _ = vector.try_for_each_operand(|operand, access| {
                *free.next().ok_or(())? = Some((operand, access));
                Ok::<(), ()>(())
            });
        }
        operands
    }

    fn operand(addr: u64, len: u32, expect_fault: bool) -> Operand {
        Operand {
            addr,
            len,
            expect_fault,
        }
    }

    /// The first word of arguments that holds a shift count.
    fn shift_word(bits: u32, expect_fault: u8, rest: u8) -> u64 {
        let [b0, b1, b2, b3] = bits.to_ne_bytes();
        u64::from_ne_bytes([b0, b1, b2, b3, expect_fault, rest, rest, rest])
    }

    fn padded<const N: usize>(bytes: [u8; N]) -> [u8; 8] {
        let mut padded = [0; 8];
        padded[..N].copy_from_slice(&bytes);
        padded
    }

    #[test]
    fn areas_are_of_0_to_4096_bytes() {
        for op in AREAS {
            for len in (0..=4097).chain([1 << 16, 1 << 31, u32::MAX]) {
                assert_eq!((op, len, is_valid(&sized(op, len))), (op, len, len <= 4096));
            }
        }
    }

    #[test]
    fn integers_are_of_1_2_4_or_8_bytes() {
        for op in INTEGERS {
            for len in (0..=4097).chain([1 << 16, 1 << 31, u32::MAX]) {
                let expected = matches!(len, 1 | 2 | 4 | 8);
                assert_eq!((op, len, is_valid(&sized(op, len))), (op, len, expected));
            }
        }
    }

    #[test]
    fn barrier_has_no_length() {
        for len in (0..=4097).chain([1 << 16, 1 << 31, u32::MAX]) {
            assert_eq!((len, is_valid(&sized(MB, len))), (len, len == 0));
        }
    }

    #[test]
    fn unknown_operations_are_invalid() {
        for op in [
            NR_OPS as i32,
            NR_OPS as i32 + 1,
            256,
            i32::MAX,
            -1,
            -12,
            i32::MIN,
        ] {
            for len in [0, 1, 8] {
                let args = [0; 3];
                assert_eq!((op, is_valid(&RawOp { op, len, args })), (op, false));
            }
        }
    }

    #[test]
    fn operations_decode_to_what_they_are() {
        let compare = |equal| Op::Compare {
            a: A,
            b: B,
            len: 8,
            equal,
        };
        let copy = |release| Op::Copy {
            dst: A,
            src: B,
            len: 8,
            release,
        };
        let update = |update, release| Op::Update {
            p: A,
            width: Width::U64,
            update,
            release,
        };
        let bits = shift_word(9, 0, 0);

        for (op, second, expected) in [
            (COMPARE_EQ, B, compare(true)),
            (COMPARE_NE, B, compare(false)),
            (MEMCPY, B, copy(false)),
            (MEMCPY_RELEASE, B, copy(true)),
            (ADD, B, update(Update::Add(B), false)),
            (ADD_RELEASE, B, update(Update::Add(B), true)),
            (OR, B, update(Update::Or(B), false)),
            (AND, B, update(Update::And(B), false)),
            (XOR, B, update(Update::Xor(B), false)),
            (LSHIFT, bits, update(Update::LeftShift(9), false)),
            (RSHIFT, bits, update(Update::RightShift(9), false)),
        ] {
            assert_eq!(decoded(&raw(op, 8, [A, second, 0])), Some(expected));
        }
        assert_eq!(decoded(&sized(MB, 0)), Some(Op::Barrier));
    }

    #[test]
    fn shift_counts_are_less_than_the_width() {
        for op in [LSHIFT, RSHIFT] {
            for (len, width) in [(1, 8), (2, 16), (4, 32), (8, 64)] {
                for bits in [0, 1, width - 1, width, width + 1, 1 << 8, 1 << 16, u32::MAX] {
                    let op = raw(op, len, [A, shift_word(bits, 0, 0), 0]);
                    assert_eq!((len, bits, is_valid(&op)), (len, bits, bits < width));
                }
            }
        }
    }

    #[test]
    fn any_nonzero_expect_fault_byte_counts_and_unused_bytes_do_not() {
        for (first, second) in [
            (0, 0),
            (1, 0),
            (0, 1),
            (1, 1),
            (2, 0),
            (0, 0x80),
            (0xff, 0x10),
        ] {
            for rest in [0, 0xff] {
                let two = u64::from_ne_bytes([first, second, rest, rest, rest, rest, rest, rest]);
                let one = u64::from_ne_bytes([first, rest, rest, rest, rest, rest, rest, rest]);
                let unused = u64::from_ne_bytes([rest; 8]);
                let faults = |raw: &RawOp| {
                    operands(raw).map(|operand| operand.map(|(operand, _)| operand.expect_fault))
                };

                for op in AREAS {
                    let expected = [Some(first != 0), Some(second != 0), None];
                    assert_eq!(faults(&raw(op, 3, [A, B, two])), expected);
                }
                let expected = [Some(first != 0), None, None];
                for op in [ADD, ADD_RELEASE, OR, AND, XOR] {
                    assert_eq!(faults(&raw(op, 4, [A, B, one])), expected);
                }
                for op in [LSHIFT, RSHIFT] {
                    let word = shift_word(31, first, rest);
                    assert_eq!(faults(&raw(op, 4, [A, word, unused])), expected);
                }
                assert_eq!(decoded(&raw(MB, 0, [unused; 3])), Some(Op::Barrier));
            }
        }
    }

    #[test]
    fn destinations_are_written_and_all_else_is_read() {
        let (a, b) = (operand(A, 8, false), operand(B, 8, false));
        let accesses = |op| operands(&raw(op, 8, [A, B, 0]));

        for op in [COMPARE_EQ, COMPARE_NE] {
            let expected = [Some((a, Access::Read)), Some((b, Access::Read)), None];
            assert_eq!(accesses(op), expected);
        }
        for op in [MEMCPY, MEMCPY_RELEASE] {
            let expected = [Some((a, Access::Write)), Some((b, Access::Read)), None];
            assert_eq!(accesses(op), expected);
        }
        for op in [ADD, ADD_RELEASE, OR, AND, XOR] {
            assert_eq!(accesses(op), [Some((a, Access::Write)), None, None]);
        }
    }

    #[test]
    fn empty_areas_are_no_operands() {
        for op in AREAS {
            assert_eq!(operands(&raw(op, 0, [A, B, u64::MAX])), [None; 3]);
        }
    }

    #[test]
    fn operands_are_passed_over_after_a_failure() -> Result<(), Invalid> {
        let raw = [raw(COMPARE_EQ, 1, [0, 1, 0]), raw(MEMCPY, 1, [2, 3, 0])];
        let vector = Vector::new(&raw)?;

        for failing in 0..4 {
            let mut nr_calls = 0;
            let result = vector.try_for_each_operand(|operand, _| {
                nr_calls += 1;
                (operand.addr != failing).then_some(()).ok_or(operand.addr)
            });
            assert_eq!((result, nr_calls), (Err(failing), failing + 1));
        }
        Ok(())
    }

    #[test]
    fn stores_are_last_if_the_only_one_is_an_aligned_integer_at_the_end() {
        let barrier = sized(MB, 0);
        let compare = raw(COMPARE_EQ, 100, [1, 2, 0]);
        let empty_copy = raw(MEMCPY, 0, [8, 16, 0]);
        let add = raw(ADD, 8, [8, 1, 0]);
        let unaligned_add = raw(ADD_RELEASE, 8, [12, 1, 0]);
        let copy = raw(MEMCPY, 4, [12, 1, 0]);
        let unaligned_copy = raw(MEMCPY, 4, [10, 1, 0]);
        let long_copy = raw(MEMCPY_RELEASE, 16, [16, 64, 0]);

        for (raw, expected) in [
            (&[][..], true),
            (&[compare, barrier, compare, empty_copy], true),
            (&[add], true),
            (&[copy], true),
            (&[compare, empty_copy, barrier, copy], true),
            (&[raw(OR, 1, [7, 1, 0])], true),
            (&[raw(XOR, 2, [6, 1, 0])], true),
            (&[raw(XOR, 2, [7, 1, 0])], false),
            (&[raw(LSHIFT, 4, [2, 1, 0])], false),
            (&[unaligned_add], false),
            (&[unaligned_copy], false),
            (&[long_copy], false),
            (&[add, compare], false),
            (&[add, barrier], false),
            (&[add, empty_copy], false),
            (&[add, add], false),
            (&[copy, compare, add], false),
            (&[long_copy, add], false),
        ] {
            let found = Vector::new(raw).map(Vector::stores_last);
            assert_eq!(found, Ok(expected));
        }
    }

    #[test]
    fn vector_keeps_order() -> Result<(), Invalid> {
        let raw = [
            raw(MEMCPY, 3, [1, 2, 0]),
            sized(MB, 0),
            raw(ADD, 8, [3, 0, 0]),
            raw(COMPARE_NE, 5, [4, 5, 0]),
        ];
        let vector = Vector::new(&raw)?;

        for (op, raw) in vector.ops().zip(&raw) {
            assert_eq!(Some(op), decoded(raw));
        }
        assert_eq!(vector.ops().count(), raw.len());
        let mut addrs = 1..=5;
        let result = vector.try_for_each_operand(|operand, _| {
            (addrs.next() == Some(operand.addr)).then_some(()).ok_or(())
        });
        assert_eq!((result, addrs.next()), (Ok(()), None));
        Ok(())
    }

    #[test]
    fn vectors_are_of_0_to_16_operations() {
        let raw = [sized(MB, 0); 18];

        for len in 0..raw.len() {
            assert_eq!((len, Vector::new(&raw[..len]).is_ok()), (len, len <= 16));
        }
    }

    #[test]
    fn one_invalid_operation_invalidates_a_vector() {
        let mut raw = [sized(ADD, 8); VEC_LEN_MAX];
        assert!(Vector::new(&raw).is_ok());

        for index in 0..raw.len() {
            raw[index].len = 3;
            assert_eq!((index, Vector::new(&raw).is_ok()), (index, false));
            raw[index].len = 8;
        }
    }

    #[test]
    fn lengths_sum_up_to_4096_and_15_times_8() {
        let mut raw = [sized(ADD, 8); VEC_LEN_MAX];

        for (first, last, expected) in [
            (4096, 7, true),
            (4096, 8, true),
            (4096, 9, false),
            (4095, 9, true),
            (4095, 10, false),
            (4096, 4096, false),
            (0, 4096, true),
            (9, 4096, false),
        ] {
            raw[0] = sized(MEMCPY, first);
            raw[VEC_LEN_MAX - 1] = sized(COMPARE_EQ, last);
            assert_eq!(
                (first, last, Vector::new(&raw).is_ok()),
                (first, last, expected)
            );
        }
        assert!(Vector::new(&[sized(COMPARE_NE, 4096); VEC_LEN_MAX]).is_err());
    }

    #[test]
    fn reads_are_behind_a_barrier_or_not() {
        let op = |op| sized(op, if op == MB { 0 } else { 8 });

        for (ops, expected) in [
            (&[COMPARE_EQ, MEMCPY, ADD][..], false),
            (&[MEMCPY, MB], false),
            (&[MEMCPY, ADD_RELEASE], false),
            (&[MEMCPY, MB, ADD, RSHIFT], false),
            (&[MEMCPY_RELEASE], true),
            (&[ADD, MB, COMPARE_EQ], true),
            (&[ADD, MB, ADD, COMPARE_NE], true),
            (&[ADD, MB, MEMCPY], true),
            (&[ADD_RELEASE, MEMCPY], true),
            (&[MB, MB, MEMCPY_RELEASE], true),
        ] {
            let mut raw = [sized(MB, 0); 4];
            for (raw, &kind) in raw.iter_mut().zip(ops) {
                *raw = op(kind);
            }
            let behind = Vector::new(&raw[..ops.len()]).map(Vector::reads_behind_barrier);
            assert_eq!((ops, behind), (ops, Ok(expected)));
        }
        assert_eq!(
            Vector::new(&[sized(MB, 0), sized(MEMCPY, 0)]).map(Vector::reads_behind_barrier),
            Ok(false)
        );
    }

    #[test]
    fn what_is_behind_an_operation_is_a_vector() -> Result<(), Invalid> {
        let raw = [sized(ADD, 1), sized(ADD, 2), sized(ADD, 4)];
        let vector = Vector::new(&raw)?;

        for index in 0..raw.len() {
            let behind = vector.after(index);
            assert_eq!((index, behind.len()), (index, raw.len() - index - 1));
            assert!(behind.ops().eq(vector.ops().skip(index + 1)));
        }
        assert_eq!(vector.after(usize::MAX - 1).len(), 0);
        Ok(())
    }

    #[test]
    fn integers_are_laid_out_as_memory_has_them() {
        let value = A;
        let memory = |width: Width| {
            let mut bytes = [0; 8];
            let from = width.bytes_of(value);
            bytes[..width.bytes()].copy_from_slice(&from[..width.bytes()]);
            (width.bytes(), bytes, width.value_of(bytes))
        };
        let one = padded((value as u8).to_ne_bytes());
        let two = padded((value as u16).to_ne_bytes());
        let four = padded((value as u32).to_ne_bytes());

        assert_eq!(memory(Width::U8), (1, one, 0x88));
        assert_eq!(memory(Width::U16), (2, two, 0x7788));
        assert_eq!(memory(Width::U32), (4, four, 0x5566_7788));
        assert_eq!(memory(Width::U64), (8, value.to_ne_bytes(), value));
    }

    #[test]
    fn widths_tell_size_and_alignment() {
        for (width, bytes) in WIDTHS.into_iter().zip([1, 2, 4, 8]) {
            assert_eq!(Width::from_bytes(bytes), Some(width));
            assert_eq!((width.bytes(), width.bits()), (bytes, 8 * bytes as u32));
            for addr in 0..32 {
                let expected = addr % bytes == 0;
                assert_eq!(
                    (width, addr, width.is_aligned(addr)),
                    (width, addr, expected)
                );
            }
        }
    }
}
