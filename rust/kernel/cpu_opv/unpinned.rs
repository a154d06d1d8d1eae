// SPDX-License-Identifier: GPL-2.0

//! Running a vector without a pin.
//!
//! If a vector stores only in its last operation, by one access, then nothing has changed when one
//! of its accesses faults. It can run on the addresses in user space with page faults disabled, and
//! be started over after a fault. There is no wrong page then, whatever other threads do: the
//! hardware looks up the current one for each access.

use super::{
    fault::{
        self,
        Miss, //
    },
    interpret::{
        interpret,
        Memory,
        Outcome, //
    },
    op::{
        Vector,
        Width, //
    },
    reach,
    user, //
};
use crate::{
    cpu::CpuId,
    error::Result,
    mm::gup::Access,
    sync::barrier::smp_mb,
    uaccess, //
};

/// How often a vector is started over here. Once is enough, unless its memory is gone again, or an
/// operand can be accessed in no other way than through a pin.
const ATTEMPTS: usize = 2;

/// Runs a vector without a pin, if that is possible.
///
/// Returns nothing if the vector has to run on pinned pages, either because of what its operations
/// are, or because it has not been seen that all of its operands are accessible. It has not run
/// then.
///
/// Context: Process context. May sleep.
#[inline]
pub(super) fn run(vector: Vector<'_>, cpu: CpuId) -> Result<Option<Outcome>> {
    if !vector.stores_last() {
        return Ok(None);
    }

    for _ in 0..ATTEMPTS {
        let reached = reach::reach(cpu)?;
        let outcome = interpret(vector, &mut UserMemory);
        drop(reached);

        match outcome {
            Ok(outcome) => return Ok(has_used_all(vector, outcome).then_some(outcome)),
            Err(Miss) => fault::fault_in(vector, |_, access| {
                (access == Access::Write).then_some(Access::Write)
            })?,
        }
    }

    Ok(None)
}

/// Returns whether all operands of a vector that ended with `outcome` have been accessed.
#[inline]
fn has_used_all(vector: Vector<'_>, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Completed => true,
        Outcome::Stopped(index) => index + 1 == vector.len(),
    }
}

/// The memory of the current process, at the addresses that it uses.
struct UserMemory;

impl Memory for UserMemory {
    type Fault = Miss;

    #[inline]
    fn load(&mut self, addr: u64, width: Width) -> Result<u64, Miss> {
        Ok(uaccess::load_nofault(user::ptr(addr), width.bytes())?)
    }

    #[inline]
    fn store(&mut self, addr: u64, width: Width, value: u64) -> Result<(), Miss> {
        Ok(uaccess::store_nofault(
            user::ptr(addr),
            width.bytes(),
            value,
        )?)
    }

    #[inline]
    fn equal(&mut self, a: u64, b: u64, len: usize) -> Result<bool, Miss> {
        let equal = uaccess::equal_nofault(user::ptr(a), user::ptr(b), len)?;

        if !equal {
            // What is behind the difference has to be accessible, too. The areas are no longer than
            // a page, so that this is so if their ends are.
            for addr in [a, b] {
                let last = user::ptr(addr).wrapping_byte_add(len.wrapping_sub(1));
                uaccess::load_nofault(last, 1)?;
            }
        }
        Ok(equal)
    }

    #[inline]
    fn copy(&mut self, _dst: u64, _src: u64, len: usize) -> Result<(), Miss> {
        // All that is copied here is one integer, or nothing.
        if len == 0 {
            Ok(())
        } else {
            Err(Miss)
        }
    }

    #[inline]
    fn barrier(&mut self) {
        smp_mb();
    }
}
