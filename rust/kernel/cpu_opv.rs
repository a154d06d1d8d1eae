// SPDX-License-Identifier: GPL-2.0

//! The `cpu_opv()` system call.
//!
//! It runs a short vector of operations on the memory of its caller, on a given CPU, with
//! preemption disabled: atomic against every other thread on that CPU.
//!
//! A call copies the vector in, validates it, plans which pages it touches, pins them, reaches the
//! CPU, and runs the operations. Each of these steps makes a value of a type of its own, which the
//! next step is made from, and what a step holds is released when its value is dropped. Whatever
//! can fail or sleep comes before the first operation, so a failed call has changed nothing.
//!
//! The pages are pinned by `pin_user_pages_fast()`. The `get_user_pages_fast()` of the same walk
//! would lose stores to a concurrent `fork()`, see [`mm::gup`](crate::mm::gup).
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

mod direct;
mod exec;
mod loaded;
mod offline;
mod op;
mod pin;
mod plan;
mod reach;
mod run;
mod user;

use op::Vector;
use plan::Plan;
use run::Outcome;
use user::RawVec;

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

    match direct::run(vector, cpu)? {
        Some(outcome) => Ok(outcome),
        None => run_pinned(vector, cpu),
    }
}

/// Runs a vector on pinned pages.
///
/// Out of line, for its room on the stack.
#[inline(never)]
fn run_pinned(vector: Vector<'_>, cpu: CpuId) -> Result<Outcome> {
    let mut few = [0; 2 * plan::INLINE_PAGES];
    let mut many;
    let mut room = few.as_mut_slice();
    let mut is_enough = false;

    // One call that is tried twice, rather than two calls: its result is not copied then.
    let (plan, slots) = loop {
        match plan(vector, room) {
            Err(plan::Error::NeedsRoom) if !is_enough => {
                many = KVec::with_capacity(2 * plan::MAX_PAGES, GFP_KERNEL)?;
                while many.len() < 2 * plan::MAX_PAGES {
                    many.push(0, GFP_KERNEL)?;
                }
                room = &mut many;
                is_enough = true;
            }
            planned => break planned?,
        }
    };

    pin::run(vector, plan, slots, cpu)
}

/// Plans a vector in one half of `room`. Returns the plan, and the other half for its pages.
#[inline]
fn plan<'a>(
    vector: Vector<'_>,
    room: &'a mut [usize],
) -> Result<(Plan<'a>, &'a mut [Slot]), plan::Error> {
    let (pages, slots) = room.split_at_mut(room.len() / 2);

    Ok((Plan::new(vector, user::start, pages)?, slots))
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

impl From<plan::Error> for Error {
    fn from(error: plan::Error) -> Self {
        match error {
            plan::Error::OutOfRange(operand) => pin::fault(Some(operand)),
            plan::Error::NeedsRoom => ENOMEM,
        }
    }
}

impl From<exec::Missing> for Error {
    fn from(_: exec::Missing) -> Self {
        EFAULT
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
