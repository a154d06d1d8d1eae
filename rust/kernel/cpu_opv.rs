// SPDX-License-Identifier: GPL-2.0

//! The `cpu_opv()` system call.
//!
//! It runs a short vector of operations on the memory of its caller, on a given CPU, with
//! preemption disabled: atomic against every other thread on that CPU.
//!
//! A call copies the vector in, validates it, plans which pages it touches, reaches the CPU, pins
//! the pages, and runs the operations. Each of these steps makes a value of a type of its own,
//! which the next step is made from, and what a step holds is released when its value is dropped.
//! Whatever can fail or sleep comes before the first operation, so a failed call has changed
//! nothing.
//!
//! A task that waits, for its CPU or for memory to be present, holds nothing that anyone else waits
//! for: no pin, no lock. Hence the pages are pinned when the CPU has been reached, from what is
//! present then. If that is not all of them, the CPU is given up, memory is made present, and the
//! vector starts over.
//!
//! The pins are released with preemption enabled, because marking a page dirty may sleep. A task
//! that is preempted just then holds them until it runs again.
//!
//! The pages are pinned by `pin_user_pages_fast_only()`. The `get_user_pages_fast()` of the same
//! walk would lose stores to a concurrent `fork()`, see [`mm::gup`](crate::mm::gup).
//!
//! Operations access the pages through a mapping in the kernel, and never through the address in
//! user space: that may fault at any time, whatever is pinned.
//!
//! C headers: [`include/linux/cpu_opv.h`](srctree/include/linux/cpu_opv.h),
//! [`include/uapi/linux/cpu_opv.h`](srctree/include/uapi/linux/cpu_opv.h)
//!
//! Reference:
//! [`Documentation/userspace-api/cpu_opv.rst`](srctree/Documentation/userspace-api/cpu_opv.rst)

use crate::{
    bindings,
    cpu::{
        hotplug,
        CpuId, //
    },
    mm::gup::Slot,
    prelude::*,
    uapi, //
};

mod fault;
mod interpret;
mod offline;
mod op;
mod page;
mod pin;
mod plan;
mod preload;
mod reach;
mod unpinned;
mod user;
mod view;

use fault::Miss;
use interpret::{
    interpret,
    Outcome, //
};
use op::Vector;
use pin::Pinned;
use plan::Plan;
use reach::{
    reach,
    Reached, //
};
use user::RawVec;
use view::View;

const NR_FLAG: c_int = uapi::cpu_op_flags_CPU_OP_NR_FLAG as c_int;
const VEC_LEN_MAX_FLAG: c_int = uapi::cpu_op_flags_CPU_OP_VEC_LEN_MAX_FLAG as c_int;

/// The body of the system call, which its entry in C calls.
///
/// # Safety
///
/// None of the arguments has to be valid: it is only as unsafe as every function is that C
/// declares.
#[export]
unsafe extern "C" fn rust_cpu_opv(
    vec: *mut bindings::cpu_op,
    cnt: c_int,
    cpu: c_int,
    flags: c_int,
) -> c_long {
    let result = match flags {
        0 => cpu_opv(UserPtr::from_ptr(vec.cast()), cnt, cpu).map(c_long::from),
        _ => query(flags),
    };

    result.unwrap_or_else(|error| error.to_errno() as c_long)
}

/// Answers what user space may want to know before it makes a vector.
#[cold]
fn query(flags: c_int) -> Result<c_long> {
    match flags {
        NR_FLAG => Ok(uapi::cpu_op_type_NR_CPU_OPS as c_long),
        VEC_LEN_MAX_FLAG => Ok(op::VEC_LEN_MAX as c_long),
        _ => Err(EINVAL),
    }
}

/// Runs a vector.
///
/// Context: Process context. May sleep. No lock may be held.
fn cpu_opv(vec: UserPtr, cnt: c_int, cpu: c_int) -> Result<Outcome> {
    let cpu = possible_cpu(cpu)?;

    let mut raw = RawVec::new();
    let vector = Vector::new(raw.copy_in(vec, cnt)?)?;

    match unpinned::run(vector, cpu)? {
        Some(outcome) => Ok(outcome),
        None => run_pinned(vector, cpu),
    }
}

/// Runs a vector on pinned pages.
///
/// Out of line: its arrays of pages are not on the stack of calls that need none.
#[inline(never)]
fn run_pinned(vector: Vector<'_>, cpu: CpuId) -> Result<Outcome> {
    // Half of the room is for the plan, the other half for the pins.
    let mut few = [0; 2 * plan::INLINE_PAGES];
    let (pages, mut words) = few.split_at_mut(plan::INLINE_PAGES);
    let many = &mut KVec::new();

    let plan = Plan::new(vector, user::start, pages, || {
        let (many, max_pages) = (many, plan::OPERAND_PAGES * vector.nr_operands());
        *many = KVec::from_elem(0, 2 * max_pages, GFP_KERNEL).ok()?;
        let half = many.len() / 2;
        let (pages, more_words) = many.split_at_mut(half);
        words = more_words;
        Some(pages)
    })?;
    let mut pinned = Pinned::new(vector, &plan, Slot::in_words(words));

    for _ in 0..fault::ATTEMPTS {
        let reached = reach(cpu)?;
        let outcome = pin_and_run(&reached, &mut pinned, vector);
        drop(reached);
        pinned.unpin();

        match outcome {
            Ok(outcome) => return Ok(outcome),
            Err(Miss) => fault::fault_in(vector, |page, _| pinned.access(page))?,
        }
    }

    Err(EFAULT)
}

/// Pins the pages of a vector, and runs its operations.
///
/// Context: Does not sleep.
#[inline]
fn pin_and_run(
    reached: &Reached,
    pinned: &mut Pinned<'_>,
    vector: Vector<'_>,
) -> Result<Outcome, Miss> {
    pinned.pin(reached, vector)?;
    interpret(vector, &mut View::new(pinned))
}

/// Returns the CPU of a number that user space passes.
fn possible_cpu(cpu: c_int) -> Result<CpuId> {
    CpuId::from_i32(cpu)
        .filter(|&cpu| hotplug::is_possible(cpu))
        .ok_or(EINVAL)
}

impl From<op::Invalid> for Error {
    fn from(_: op::Invalid) -> Self {
        EINVAL
    }
}

impl From<Outcome> for c_long {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => 0,
            Outcome::Stopped(index) => 1 + index as c_long,
        }
    }
}
