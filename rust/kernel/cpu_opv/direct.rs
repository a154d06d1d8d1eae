// SPDX-License-Identifier: GPL-2.0

//! Running a vector without a pin.
//!
//! If a vector stores only in its last operation, by one access, then nothing has changed when one
//! of its accesses faults. It can run on the addresses in user space with page faults disabled, and
//! be started over after a fault. There is no wrong page then, whatever other threads do: the
//! hardware looks up the current one for each access.

use super::{
    op::{
        Vector,
        Width, //
    },
    pin,
    reach,
    run::{
        self,
        Memory,
        Outcome, //
    },
    user, //
};
use crate::{
    cpu::CpuId,
    error::Result,
    sync::barrier::smp_mb,
    uaccess, //
};

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

    for _ in 0..pin::ATTEMPTS {
        let reached = reach::reach(cpu)?;
        let outcome = run::run(vector, &mut UserMemory);
        drop(reached);

        match outcome {
            Ok(outcome) => return Ok(has_used_all(vector, outcome).then_some(outcome)),
            Err(Fault) => pin::fault_in(vector)?,
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

/// The memory is not present.
struct Fault;

impl Memory for UserMemory {
    type Fault = Fault;

    #[inline]
    fn load(&mut self, addr: u64, width: Width) -> Result<u64, Fault> {
        uaccess::load_nofault(user::ptr(addr), width.bytes()).map_err(|_| Fault)
    }

    #[inline]
    fn store(&mut self, addr: u64, width: Width, value: u64) -> Result<(), Fault> {
        uaccess::store_nofault(user::ptr(addr), width.bytes(), value).map_err(|_| Fault)
    }

    #[inline]
    fn equal(&mut self, a: u64, b: u64, len: usize) -> Result<bool, Fault> {
        let equal = uaccess::equal_nofault(user::ptr(a), user::ptr(b), len);
        let equal = equal.map_err(|_| Fault)?;

        if !equal {
            // What is behind the difference has to be accessible, too. The areas are no longer than
            // a page, so that this is so if their ends are.
            for addr in [a, b] {
                let last = user::ptr(addr).wrapping_byte_add(len.wrapping_sub(1));
                uaccess::load_nofault(last, 1).map_err(|_| Fault)?;
            }
        }
        Ok(equal)
    }

    #[inline]
    fn copy(&mut self, _dst: u64, _src: u64, len: usize) -> Result<(), Fault> {
        // All that is copied here is one integer, or nothing.
        if len == 0 {
            Ok(())
        } else {
            Err(Fault)
        }
    }

    #[inline]
    fn barrier(&mut self) {
        smp_mb();
    }
}
