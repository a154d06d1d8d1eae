// SPDX-License-Identifier: GPL-2.0

//! Interpreting a vector.
//!
//! Pure logic, which is also compiled and tested outside the kernel. The memory is whatever the
//! caller makes accessible.

use super::op::{
    Op,
    Update,
    Vector, //
};
use crate::uaccess::nofault::Width;

/// Memory of a process, by the addresses that the process uses.
///
/// Each access fails if the memory there is not accessible. The areas that are only loaded from are
/// accessed in the order in which [`Vector::try_for_each_operand`] lists them.
pub(super) trait Memory {
    /// Tells an inaccessible area from others, if the memory knows such.
    type Fault;

    /// Loads an integer, zero-extended, by one access if it is naturally aligned.
    fn load(&mut self, addr: u64, width: Width) -> Result<u64, Self::Fault>;

    /// Stores the low bits of `value` as an integer, by one access if it is naturally aligned.
    fn store(&mut self, addr: u64, width: Width, value: u64) -> Result<(), Self::Fault>;

    /// Replaces an integer by what `f` makes of it, by one load and one store if it is naturally
    /// aligned. The value that `f` gets is zero-extended, and the low bits of its result are
    /// stored.
    #[inline]
    fn update(
        &mut self,
        addr: u64,
        width: Width,
        f: impl FnOnce(u64) -> u64,
    ) -> Result<(), Self::Fault> {
        let value = self.load(addr, width)?;
        self.store(addr, width, f(value))
    }

    /// Compares two areas of one length.
    fn equal(&mut self, a: u64, b: u64, len: usize) -> Result<bool, Self::Fault>;

    /// Copies `src` to `dst`, which are of one length.
    fn copy(&mut self, dst: u64, src: u64, len: usize) -> Result<(), Self::Fault>;

    /// Orders all accesses before against all accesses after, as `smp_mb()`.
    fn barrier(&mut self);
}

/// How a vector ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All operations have run.
    Completed,
    /// The comparison at this index has stopped the vector.
    Stopped(usize),
}

/// Runs a vector on `memory`.
///
/// Context: what `memory` asks for. Takes no lock, and does not sleep by itself.
#[inline]
pub(super) fn interpret<M: Memory>(
    vector: Vector<'_>,
    memory: &mut M,
) -> Result<Outcome, M::Fault> {
    let mut ops = vector.ops();

    while let Some(op) = ops.next() {
        match op {
            Op::Compare { a, b, len, equal } => {
                if compare(memory, a, b, len)? != equal {
                    return Ok(Outcome::Stopped(vector.len() - ops.len() - 1));
                }
            }

            Op::Copy {
                dst,
                src,
                len,
                release,
            } => {
                if release {
                    memory.barrier();
                }
                copy(memory, dst, src, len)?;
            }

            Op::Update {
                p,
                width,
                update,
                release,
            } => {
                if release {
                    memory.barrier();
                }
                replace(memory, p, width, update)?;
            }

            Op::Barrier => memory.barrier(),
        }
    }

    Ok(Outcome::Completed)
}

#[inline]
fn compare<M: Memory>(memory: &mut M, a: u64, b: u64, len: usize) -> Result<bool, M::Fault> {
    match Width::from_bytes(len) {
        Some(width) => Ok(memory.load(a, width)? == memory.load(b, width)?),
        None => memory.equal(a, b, len),
    }
}

#[inline]
fn copy<M: Memory>(memory: &mut M, dst: u64, src: u64, len: usize) -> Result<(), M::Fault> {
    match Width::from_bytes(len) {
        Some(width) => {
            let value = memory.load(src, width)?;
            memory.store(dst, width, value)
        }
        None => memory.copy(dst, src, len),
    }
}

/// Replaces an integer. Each kind of update has the whole access in line, so that an operation
/// jumps by its type once.
#[inline]
fn replace<M: Memory>(
    memory: &mut M,
    p: u64,
    width: Width,
    update: Update,
) -> Result<(), M::Fault> {
    match update {
        Update::Add(count) => memory.update(p, width, |value| value.wrapping_add(count)),
        Update::Or(mask) => memory.update(p, width, |value| value | mask),
        Update::And(mask) => memory.update(p, width, |value| value & mask),
        Update::Xor(mask) => memory.update(p, width, |value| value ^ mask),
        Update::LeftShift(bits) => memory.update(p, width, |value| value.wrapping_shl(bits)),
        Update::RightShift(bits) => memory.update(p, width, |value| value.wrapping_shr(bits)),
    }
}

#[macros::kunit_tests(rust_cpu_opv_interpret)]
mod tests {
    use super::{
        super::op::{
            RawOp,
            VEC_LEN_MAX, //
        },
        *, //
    };
    use crate::uapi::{
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
        cpu_op_type_CPU_XOR_OP as XOR, //
    };
    use core::cell::Cell;

    /// What was asked of the memory, by the addresses of the operands.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Access {
        Load(u64),
        Store(u64),
        CompareAreas(u64, u64),
        CopyArea(u64, u64),
        Barrier,
    }
    use Access::{
        Barrier,
        CompareAreas,
        CopyArea,
        Load,
        Store, //
    };

    /// A few bytes, whose addresses are their indices. The other addresses are inaccessible, and so
    /// are the last bytes for stores.
    struct Model {
        bytes: [Cell<u8>; Self::LEN],
        accesses: [Cell<Access>; 4],
        nr_accesses: Cell<usize>,
    }

    impl Model {
        const LEN: usize = 64;
        const WRITABLE: usize = 56;
        const FILL: u8 = 0xa5;

        fn new() -> Self {
            Self {
                bytes: [const { Cell::new(Self::FILL) }; Self::LEN],
                accesses: [const { Cell::new(Barrier) }; 4],
                nr_accesses: Cell::new(0),
            }
        }

        fn area(&self, addr: u64, len: usize) -> Result<&[Cell<u8>], u64> {
            let bytes = self
                .bytes
                .get(addr as usize..)
                .and_then(|bytes| bytes.get(..len));
            bytes.ok_or(addr)
        }

        fn get(&self, addr: u64, width: Width) -> Result<u64, u64> {
            let mut bytes = [0; 8];
            for (byte, cell) in bytes.iter_mut().zip(self.area(addr, width.bytes())?) {
                *byte = cell.get();
            }
            Ok(width.value_of(bytes))
        }

        fn set(&self, addr: u64, width: Width, value: u64) -> Result<(), u64> {
            let area = self.writable_area(addr, width.bytes())?;
            for (cell, byte) in area.iter().zip(width.bytes_of(value)) {
                cell.set(byte);
            }
            Ok(())
        }

        fn writable_area(&self, addr: u64, len: usize) -> Result<&[Cell<u8>], u64> {
            let area = self.area(addr, len)?;
            let is_writable = addr as usize + len <= Self::WRITABLE;
            is_writable.then_some(area).ok_or(addr)
        }

        /// Sets the bytes at `addr`, and returns the memory.
        fn with(self, addr: usize, bytes: &[u8]) -> Self {
            for (cell, byte) in self.bytes[addr..].iter().zip(bytes) {
                cell.set(*byte);
            }
            self
        }

        fn is(&self, addr: usize, bytes: &[u8]) -> bool {
            let area = self.bytes[addr..].iter().take(bytes.len());
            area.map(Cell::get).eq(bytes.iter().copied())
        }

        /// Returns whether nothing outside of an area was ever written.
        fn is_untouched_beyond(&self, addr: u64, len: usize) -> bool {
            let area = addr as usize..addr as usize + len;
            let mut bytes = self.bytes.iter().enumerate();
            bytes.all(|(addr, byte)| area.contains(&addr) || byte.get() == Self::FILL)
        }

        fn note(&self, access: Access) {
            let nr = self.nr_accesses.get();
            if let Some(cell) = self.accesses.get(nr) {
                cell.set(access);
            }
            self.nr_accesses.set(nr + 1);
        }

        /// Returns whether these accesses have been made, in this order.
        fn saw(&self, accesses: &[Access]) -> bool {
            let seen = self.accesses.iter().take(self.nr_accesses.get());
            seen.map(Cell::get).eq(accesses.iter().copied())
        }
    }

    impl Memory for &Model {
        type Fault = u64;

        fn load(&mut self, addr: u64, width: Width) -> Result<u64, u64> {
            self.note(Load(addr));
            self.get(addr, width)
        }

        fn store(&mut self, addr: u64, width: Width, value: u64) -> Result<(), u64> {
            self.note(Store(addr));
            self.set(addr, width, value)
        }

        fn equal(&mut self, a: u64, b: u64, len: usize) -> Result<bool, u64> {
            self.note(CompareAreas(a, b));
            Ok(self.area(a, len)? == self.area(b, len)?)
        }

        fn copy(&mut self, dst: u64, src: u64, len: usize) -> Result<(), u64> {
            self.note(CopyArea(dst, src));
            let dst = self.writable_area(dst, len)?;
            for (dst, src) in dst.iter().zip(self.area(src, len)?) {
                dst.set(src.get());
            }
            Ok(())
        }

        fn barrier(&mut self) {
            self.note(Barrier);
        }
    }

    /// Why there is no outcome.
    #[derive(Debug, PartialEq, Eq)]
    enum Failure {
        Invalid,
        /// There is no memory at this address.
        Fault(u64),
    }

    fn outcome(raw: &[RawOp], mut memory: &Model) -> Result<Outcome, Failure> {
        let vector = Vector::new(raw).map_err(|_| Failure::Invalid)?;
        interpret(vector, &mut memory).map_err(Failure::Fault)
    }

    fn raw(op: u32, len: u32, first: u64, second: u64) -> RawOp {
        RawOp {
            op: op as i32,
            len,
            args: [first, second, 0],
        }
    }

    /// Returns an operation on an integer at `p`.
    fn update(op: u32, len: u32, p: u64, value: u64) -> RawOp {
        let value = match op {
            LSHIFT | RSHIFT => {
                let [b0, b1, b2, b3] = (value as u32).to_ne_bytes();
                u64::from_ne_bytes([b0, b1, b2, b3, 0, 0, 0, 0])
            }
            _ => value,
        };
        raw(op, len, p, value)
    }

    const FAR: u64 = Model::LEN as u64;
    const READ_ONLY: u64 = Model::WRITABLE as u64;

    #[test]
    fn empty_vector_completes() {
        let memory = Model::new();

        assert_eq!(outcome(&[], &memory), Ok(Outcome::Completed));
        assert!(memory.saw(&[]));
    }

    #[test]
    fn integers_are_replaced_and_nothing_else() -> Result<(), u64> {
        const M: u64 = u64::MAX;

        for (op, len, value, by, expected) in [
            (ADD, 1, 0xff, 2, 0x01),
            (ADD, 1, 0x00, M, 0xff),
            (ADD, 1, 0x01, 0x1_00, 0x01),
            (ADD, 2, 0xffff, 1, 0),
            (ADD, 4, 0xffff_ffff, 2, 1),
            (ADD, 8, 5, M, 4),
            (ADD, 8, M, 1, 0),
            (ADD_RELEASE, 4, 40, 2, 42),
            (OR, 1, 0x11, 0xff22, 0x33),
            (OR, 2, 0x1111, 0x2200, 0x3311),
            (OR, 4, 0x1111, 0x2222_0000, 0x2222_1111),
            (OR, 8, 1, 1 << 63, (1 << 63) | 1),
            (AND, 1, 0x77, 0xee, 0x66),
            (AND, 2, 0x7777, 0xf0, 0x70),
            (AND, 4, M >> 32, 0, 0),
            (AND, 8, M, 1 << 63, 1 << 63),
            (XOR, 1, 0x0f, M, 0xf0),
            (XOR, 2, 0x0f0f, 0xffff, 0xf0f0),
            (XOR, 4, 1, 1, 0),
            (XOR, 8, M, 1, M - 1),
            (LSHIFT, 1, 0x81, 1, 0x02),
            (LSHIFT, 2, 0x8001, 15, 0x8000),
            (LSHIFT, 4, 0x8000_0001, 4, 0x10),
            (LSHIFT, 8, M, 63, 1 << 63),
            (RSHIFT, 1, 0x81, 1, 0x40),
            (RSHIFT, 2, 0x8001, 15, 1),
            (RSHIFT, 4, 0x8000_0001, 4, 0x0800_0000),
            (RSHIFT, 8, M, 0, M),
        ] {
            let width = Width::from_bytes(len as usize).ok_or(0u64)?;
            for addr in [16, 17, 23] {
                let memory = Model::new();
                memory.set(addr, width, value)?;

                let op = update(op, len, addr, by);
                assert_eq!(outcome(&[op], &memory), Ok(Outcome::Completed));
                let found = memory.get(addr, width)?;
                assert_eq!(
                    (op.op, len, value, by, found),
                    (op.op, len, value, by, expected)
                );
                assert!(memory.is_untouched_beyond(addr, width.bytes()));
            }
        }
        Ok(())
    }

    #[test]
    fn copies_fill_the_destination_and_nothing_else() {
        for op in [MEMCPY, MEMCPY_RELEASE] {
            for len in 0..=16 {
                let memory = Model::new().with(0, b"0123456789abcdef");

                assert_eq!(
                    outcome(&[raw(op, len, 33, 0)], &memory),
                    Ok(Outcome::Completed)
                );
                let len = len as usize;
                assert!(memory.is(33, &b"0123456789abcdef"[..len]));
                assert!(memory.is(0, b"0123456789abcdef"));
                assert!(memory.is(33 + len, &[Model::FILL; 15]));
                assert!(memory.is(16, &[Model::FILL; 17]));
            }
        }
    }

    #[test]
    fn comparison_stops_the_vector_by_the_first_or_last_byte() {
        for len in 1..=16 {
            let last = len as usize - 1;

            for (differs_at, equal) in [(None, true), (Some(0), false), (Some(last), false)] {
                let memory = Model::new().with(0, &[1; 16]).with(33, &[1; 16]);
                if let Some(index) = differs_at {
                    memory.bytes[index].set(2);
                }

                for (op, completes) in [(COMPARE_EQ, equal), (COMPARE_NE, !equal)] {
                    let expected = if completes {
                        Outcome::Completed
                    } else {
                        Outcome::Stopped(0)
                    };
                    assert_eq!(outcome(&[raw(op, len, 0, 33)], &memory), Ok(expected));
                }
            }
        }
    }

    #[test]
    fn comparison_ignores_what_is_beyond_the_operands() {
        for len in 0..=16 {
            let memory = Model::new().with(0, &[1; 16]).with(33, &[1; 16]);
            memory.bytes[len as usize].set(2);

            let equal = outcome(&[raw(COMPARE_EQ, len, 0, 33)], &memory);
            assert_eq!((len, equal), (len, Ok(Outcome::Completed)));
            let differs = outcome(&[raw(COMPARE_NE, len, 0, 33)], &memory);
            assert_eq!((len, differs), (len, Ok(Outcome::Stopped(0))));
        }
    }

    #[test]
    fn what_is_before_the_stop_has_run_and_the_rest_has_not() {
        for (op, b) in [(COMPARE_EQ, 9), (COMPARE_NE, 8)] {
            for index in 0..VEC_LEN_MAX {
                let memory = Model::new().with(0, &[0]).with(8, &[1, 2]);
                let mut vector = [raw(ADD, 1, 0, 1); VEC_LEN_MAX];
                vector[index] = raw(op, 1, 8, b);

                assert_eq!(outcome(&vector, &memory), Ok(Outcome::Stopped(index)));
                assert!(memory.is(0, &[index as u8]));
            }
        }
    }

    #[test]
    fn operations_see_what_those_before_have_stored() {
        let memory = Model::new().with(0, &[1]);
        let vector = [
            update(ADD, 1, 0, 1),
            raw(MEMCPY, 1, 8, 0),
            update(LSHIFT, 1, 8, 2),
            update(XOR, 1, 8, 1),
            raw(MEMCPY_RELEASE, 1, 0, 8),
            raw(COMPARE_EQ, 1, 0, 8),
            raw(COMPARE_NE, 1, 0, 8),
            update(ADD, 1, 0, 1),
        ];

        assert_eq!(outcome(&vector, &memory), Ok(Outcome::Stopped(6)));
        assert!(memory.is(0, &[9]) && memory.is(8, &[9]));
    }

    #[test]
    fn accesses_are_in_order_and_release_is_a_barrier_before_them() {
        for (op, accesses) in [
            (raw(COMPARE_EQ, 8, 0, 8), &[Load(0), Load(8)][..]),
            (raw(COMPARE_NE, 1, 8, 0), &[Load(8), Load(0)]),
            (raw(COMPARE_EQ, 3, 0, 8), &[CompareAreas(0, 8)]),
            (raw(COMPARE_NE, 0, 8, 0), &[CompareAreas(8, 0)]),
            (raw(MEMCPY, 4, 0, 8), &[Load(8), Store(0)]),
            (raw(MEMCPY, 5, 0, 8), &[CopyArea(0, 8)]),
            (raw(MEMCPY, 0, 0, 8), &[CopyArea(0, 8)]),
            (raw(MEMCPY_RELEASE, 2, 0, 8), &[Barrier, Load(8), Store(0)]),
            (raw(MEMCPY_RELEASE, 16, 0, 16), &[Barrier, CopyArea(0, 16)]),
            (update(ADD, 8, 8, 1), &[Load(8), Store(8)]),
            (update(ADD_RELEASE, 8, 8, 1), &[Barrier, Load(8), Store(8)]),
            (update(OR, 4, 8, 1), &[Load(8), Store(8)]),
            (update(AND, 2, 8, 1), &[Load(8), Store(8)]),
            (update(XOR, 1, 8, 1), &[Load(8), Store(8)]),
            (update(LSHIFT, 8, 8, 1), &[Load(8), Store(8)]),
            (update(RSHIFT, 8, 8, 1), &[Load(8), Store(8)]),
            (raw(MB, 0, 0, 0), &[Barrier]),
        ] {
            let memory = Model::new();
            assert!(outcome(&[op], &memory).is_ok());
            assert!(memory.saw(accesses));
        }
    }

    #[test]
    fn fault_ends_the_run() {
        for (op, addr) in [
            (raw(COMPARE_EQ, 1, FAR, 0), FAR),
            (raw(COMPARE_EQ, 8, 0, FAR), FAR),
            (raw(COMPARE_NE, 3, FAR, 0), FAR),
            (raw(COMPARE_NE, 3, 0, FAR), FAR),
            (raw(MEMCPY, 2, FAR, 0), FAR),
            (raw(MEMCPY, 2, 0, FAR), FAR),
            (raw(MEMCPY_RELEASE, 5, FAR, 0), FAR),
            (raw(MEMCPY_RELEASE, 5, 0, FAR), FAR),
            (raw(MEMCPY, 4, READ_ONLY, 0), READ_ONLY),
            (raw(MEMCPY, 3, READ_ONLY, 0), READ_ONLY),
            (update(ADD, 4, FAR, 1), FAR),
            (update(RSHIFT, 4, FAR, 1), FAR),
            (update(ADD_RELEASE, 4, READ_ONLY, 1), READ_ONLY),
            (update(LSHIFT, 4, READ_ONLY, 1), READ_ONLY),
        ] {
            let memory = Model::new().with(8, &[1]);
            let vector = [update(ADD, 1, 8, 1), op, update(ADD, 1, 8, 1)];

            assert_eq!(outcome(&vector, &memory), Err(Failure::Fault(addr)));
            assert!(memory.is(8, &[2]) && memory.is_untouched_beyond(8, 1));
        }
    }
}
