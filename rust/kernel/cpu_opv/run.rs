// SPDX-License-Identifier: GPL-2.0

//! Running a vector.
//!
//! Pure logic, which is also compiled and tested outside the kernel. The memory is whatever the
//! caller makes accessible.

use super::op::{
    Op,
    Operand,
    Vector,
    Width, //
};

/// Memory of a process, by the addresses that the process uses.
///
/// Each access fails if the memory there is not accessible. The areas that are only loaded from are
/// accessed in the order in which [`Vector::operands`] lists them.
pub(super) trait Memory {
    /// Tells an inaccessible area from others, if the memory knows such.
    type Fault;

    /// Loads an integer, zero-extended, by one access if it is naturally aligned.
    fn load(&self, operand: &Operand, width: Width) -> Result<u64, Self::Fault>;

    /// Stores the low bits of `value` as an integer, by one access if it is naturally aligned.
    fn store(&self, operand: &Operand, width: Width, value: u64) -> Result<(), Self::Fault>;

    /// Compares two areas of one length.
    fn equal(&self, a: &Operand, b: &Operand) -> Result<bool, Self::Fault>;

    /// Copies `src` to `dst`, which are of one length.
    fn copy(&self, dst: &Operand, src: &Operand) -> Result<(), Self::Fault>;

    /// Orders all accesses before against all accesses after, as `smp_mb()`.
    fn barrier(&self);
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
pub(super) fn run<M: Memory>(vector: Vector<'_>, memory: &M) -> Result<Outcome, M::Fault> {
    for (index, op) in vector.ops().enumerate() {
        match op {
            Op::Compare { a, b, equal } => {
                if compare(memory, &a, &b)? != equal {
                    return Ok(Outcome::Stopped(index));
                }
            }

            Op::Copy { dst, src, release } => {
                if release {
                    memory.barrier();
                }
                copy(memory, &dst, &src)?;
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
                let value = memory.load(&p, width)?;
                memory.store(&p, width, update.apply(value))?;
            }

            Op::Barrier => memory.barrier(),
        }
    }

    Ok(Outcome::Completed)
}

#[inline]
fn compare<M: Memory>(memory: &M, a: &Operand, b: &Operand) -> Result<bool, M::Fault> {
    match Width::from_len(a.len) {
        Some(width) => Ok(memory.load(a, width)? == memory.load(b, width)?),
        None => memory.equal(a, b),
    }
}

#[inline]
fn copy<M: Memory>(memory: &M, dst: &Operand, src: &Operand) -> Result<(), M::Fault> {
    match Width::from_len(dst.len) {
        Some(width) => memory.store(dst, width, memory.load(src, width)?),
        None => memory.copy(dst, src),
    }
}
