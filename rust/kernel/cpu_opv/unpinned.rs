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
        Operand,
        Vector, //
    },
    page,
    reach::{
        self,
        Reached, //
    },
    user, //
};
use crate::{
    cpu::CpuId,
    error::Result,
    mm::gup::Access,
    uaccess::nofault::{
        self,
        Width, //
    }, //
};

/// How often a vector is started over here. Once is enough, unless its memory is gone again, or an
/// operand can be accessed in no other way than through a pin.
const ATTEMPTS: usize = 2;

/// Runs a vector without a pin, if that is possible.
///
/// Returns nothing if the vector has to run on pinned pages, either because of what its operations
/// are, or because it has not been seen that all of its operands are accessible. In that case no
/// operation has taken effect.
///
/// Context: Process context. May sleep.
#[inline]
pub(super) fn run(vector: Vector<'_>, cpu: CpuId) -> Result<Option<Outcome>> {
    if !vector.stores_last() {
        return Ok(None);
    }

    for _ in 0..ATTEMPTS {
        let reached = reach::reach(cpu)?;
        let outcome = run_reached(&reached, vector);
        drop(reached);

        match outcome {
            Ok(outcome) => return Ok(Some(outcome)),
            Err(Miss) => fault::fault_in(vector, |_, access| {
                (access == Access::Write).then_some(Access::Write)
            })?,
        }
    }

    Ok(None)
}

/// Runs a vector, and looks at the operands that it does not come to.
#[inline]
fn run_reached(_on: &Reached, vector: Vector<'_>) -> Result<Outcome, Miss> {
    let outcome = interpret(vector, &mut UserMemory)?;

    if let Outcome::Stopped(index) = outcome {
        // An operand that is not accessible is an error, even if the vector stops before.
        vector.after(index).try_for_each_operand(probe)?;
    }
    Ok(outcome)
}

/// Checks that an operand is accessible, without changing it.
#[inline]
fn probe(operand: Operand, access: Access) -> Result<(), Miss> {
    let addr = user::ptr(operand.addr);

    if access == Access::Write {
        // All that is stored here is one integer, which is in one page.
        return Ok(nofault::probe_writeable(addr)?);
    }

    nofault::load(addr, Width::U8)?;
    for (_, offset) in page::pages(user::untagged(operand.addr), operand.len as usize).skip(1) {
        nofault::load(addr.wrapping_byte_add(offset), Width::U8)?;
    }
    Ok(())
}

/// The memory of the current process, at the addresses that it uses.
struct UserMemory;

impl Memory for UserMemory {
    type Fault = Miss;

    #[inline]
    fn load(&mut self, addr: u64, width: Width) -> Result<u64, Miss> {
        Ok(nofault::load(user::ptr(addr), width)?)
    }

    #[inline]
    fn store(&mut self, addr: u64, width: Width, value: u64) -> Result<(), Miss> {
        Ok(nofault::store(user::ptr(addr), width, value)?)
    }

    #[inline]
    fn equal(&mut self, a: u64, b: u64, len: usize) -> Result<bool, Miss> {
        let equal = nofault::equal(user::ptr(a), user::ptr(b), len)?;

        if !equal {
            // What is behind the difference has to be accessible, too. The areas are no longer than
            // a page, so that this is so if their ends are.
            for addr in [a, b] {
                let last = user::ptr(addr).wrapping_byte_add(len.wrapping_sub(1));
                nofault::load(last, Width::U8)?;
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
        user::full_barrier();
    }
}
