// SPDX-License-Identifier: GPL-2.0

//! Memory that is not present, or not accessible.
//!
//! A vector runs with preemption disabled, where nothing can be made present. So it is given up
//! before it has stored anything, its memory is made present while nothing is held, and it is
//! started over. Only then is it known whether an operand is accessible at all.

use super::{
    op::{
        Operand,
        Vector, //
    },
    page,
    plan,
    user, //
};
use crate::{
    mm::gup::{
        self,
        Access, //
    },
    prelude::*, //
};

/// How often a vector is started over because its memory is gone again.
///
/// Memory is taken away between being made present and being used by threads of the process itself,
/// or when the kernel is very short of it. Either may happen a few times, and has to be waited out.
/// The limit is what makes every call end: memory that is gone again so often is not accessible.
pub(super) const ATTEMPTS: usize = 1000;

/// Memory is not present, or not in the way that it is needed.
#[derive(Debug)]
pub(super) struct Miss;

impl From<Error> for Miss {
    fn from(_: Error) -> Self {
        Self
    }
}

/// Makes the memory of all operands present: as a pin of their pages for `pinned_for` needs it, or
/// for loads where that says that there is no pin.
///
/// Context: Process context. May sleep. Nothing may be held, for it may take forever.
///
/// # Errors
///
/// - [`EFAULT`], or [`EAGAIN`] if the caller is prepared for it: an operand is not accessible.
/// - [`ENOMEM`]: there is no memory.
/// - [`EINTR`]: a fatal signal is pending.
#[cold]
pub(super) fn fault_in(
    vector: Vector<'_>,
    pinned_for: impl Fn(usize, Access) -> Option<Access>,
) -> Result {
    let task = current!();
    let mm = task.mm().ok_or(EFAULT)?;

    vector.try_for_each_operand(|operand, access| {
        let start = user::start(&operand).ok_or_else(|| inaccessible(operand))?;

        page::pages(start, operand.len as usize).try_for_each(|(page, offset)| {
            let addr = user::ptr(operand.addr).wrapping_byte_add(offset);
            let present = match pinned_for(page, access) {
                // If it is another operand that stores to the page, then the lack of that access is
                // not the fault of this one.
                Some(pinned) => match gup::fault_in(mm, addr, pinned) {
                    Err(EFAULT) if pinned != access => gup::fault_in(mm, addr, access),
                    result => result,
                },
                // This does not tell a lack of memory from that of access. A pin does.
                None => gup::fault_in_readable(addr, 1)
                    .or_else(|_| gup::fault_in(mm, addr, Access::Read)),
            };

            present.map_err(|error| match error {
                EFAULT => inaccessible(operand),
                error => error,
            })
        })
    })
}

/// Returns the error for an operand that is not accessible.
pub(super) fn inaccessible(operand: Operand) -> Error {
    if current!().fatal_signal_pending() {
        EINTR
    } else if operand.expect_fault {
        EAGAIN
    } else {
        EFAULT
    }
}

impl From<plan::Error> for Error {
    fn from(error: plan::Error) -> Self {
        match error {
            plan::Error::OutOfRange(operand) => inaccessible(operand),
            plan::Error::NoRoom => ENOMEM,
        }
    }
}
