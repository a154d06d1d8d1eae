// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The interface for C and C++.
//!
//! The comments here are those of the header, which cbindgen makes of this file.

#![allow(non_camel_case_types)]
#![allow(clippy::missing_safety_doc)]

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, Ordering};

use libc::size_t;

use crate::error::Error;
use crate::percpu::{
    Add, CompareCompareStore, CompareCopyStore, CompareStore, CompareStoreStore, FetchAdd, Pop,
    Push, Swap,
};
use crate::sys::{self, CPU_OP_DATA_LEN_MAX};
use crate::tier::{self, perform, Operation};

/// Whether the data is shared with other processes.
static SHARED: AtomicBool = AtomicBool::new(false);

const POINTER: usize = size_of::<isize>();

fn fail(error: Error) -> c_int {
    // SAFETY: It is the address of the thread's own `errno`.
    unsafe { *libc::__errno_location() = error.errno() };
    -1
}

/// Does an operation, and gives its old value to `old`.
///
/// # Safety
///
/// The operands are valid.
unsafe fn run(operation: &impl Operation, cpu: c_int, old: impl FnOnce(u64)) -> c_int {
    // SAFETY: As the caller vouches.
    match unsafe { perform(operation, cpu, SHARED.load(Ordering::Relaxed)) } {
        Ok(Ok(value)) => {
            old(value);
            0
        }
        Ok(Err(at)) => at as c_int + 1,
        Err(error) => fail(error),
    }
}

/// The link of an element of a list.
#[repr(C)]
pub struct percpu_list_node {
    /// The next element, of a list that nobody else has.
    pub next: *mut percpu_list_node,
}

/// The list of one CPU. All zeroes are an empty one.
#[repr(C)]
pub struct percpu_list {
    /// The first element.
    pub head: *mut percpu_list_node,
}

/// How often operations of the process were not done by one sequence.
#[repr(C)]
pub struct percpu_counts {
    /// Vectors that were run by cpu_opv().
    pub vectors: size_t,
    /// Operations that were done under the lock.
    pub locked: size_t,
    /// Sequences that were begun on the CPU and did not get to their end.
    pub aborts: size_t,
}

/// Runs a vector of operations on a CPU: the system call. Returns 0 if all of them ran, 1 + the
/// index of the comparison that stopped it, or -1 with errno set if none has run.
#[no_mangle]
pub unsafe extern "C" fn cpu_opv(
    vec: *mut sys::cpu_op,
    cnt: c_int,
    cpu: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: As the caller vouches.
    unsafe { sys::cpu_opv(vec, cnt, cpu, flags) as c_int }
}

/// Returns 1 if the kernel has cpu_opv(), else 0.
#[no_mangle]
pub extern "C" fn cpu_op_available() -> c_int {
    crate::vector::is_available().into()
}

/// As percpu_current_cpu().
#[no_mangle]
pub extern "C" fn cpu_op_get_current_cpu() -> c_int {
    tier::current_cpu()
}

/// Returns the number of the CPU that the thread runs on. It may run on another one by now.
#[no_mangle]
pub extern "C" fn percpu_current_cpu() -> c_int {
    tier::current_cpu()
}

/// Returns one more than the highest number that a CPU can have.
#[no_mangle]
pub extern "C" fn percpu_nr_cpus() -> c_int {
    tier::nr_cpus()
}

/// Finds out what the process uses, as the first operation does. Returns 0, or -1 with errno set to
/// ENOSYS: the kernel has neither cpu_opv() nor the membarrier() that fences restartable sequences
/// (since Linux 5.10). Then each operation takes the lock.
#[no_mangle]
pub extern "C" fn percpu_start() -> c_int {
    match tier::start() {
        Ok(_) => 0,
        Err(error) => fail(error),
    }
}

/// Returns 1 if the process uses restartable sequences, else 0.
#[no_mangle]
pub extern "C" fn percpu_uses_rseq() -> c_int {
    tier::tiers().rseq.into()
}

/// Returns 1 if the process uses cpu_opv(), else 0: then the lock stands in for it.
#[no_mangle]
pub extern "C" fn percpu_uses_cpu_opv() -> c_int {
    tier::tiers().cpu_opv.into()
}

/// Tells how often operations of the process were not done by one sequence.
#[no_mangle]
pub unsafe extern "C" fn percpu_get_counts(counts: *mut percpu_counts) {
    let now = tier::counts();

    // SAFETY: As the caller vouches.
    unsafe {
        counts.write(percpu_counts {
            vectors: now.vectors,
            locked: now.locked,
            aborts: now.aborts,
        });
    }
}

/// Declares that data is shared with other processes: from now on nothing is done under the lock,
/// which excludes the threads of this process only. Call it before anything else. Returns 0, or -1
/// with errno set to ENOSYS if the kernel does not have cpu_opv().
#[no_mangle]
pub extern "C" fn percpu_share() -> c_int {
    if !tier::tiers().cpu_opv {
        return fail(Error::Unsupported);
    }
    SHARED.store(true, Ordering::Relaxed);
    0
}

/// *v += count.
#[no_mangle]
pub unsafe extern "C" fn percpu_addv(v: *mut isize, count: isize, cpu: c_int) -> c_int {
    let operation = Add::<POINTER> {
        v: v.cast(),
        count: count as u64,
        release: false,
    };

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, drop) }
}

/// *v += count, ordered after all loads and stores before it.
#[no_mangle]
pub unsafe extern "C" fn percpu_addv_release(v: *mut isize, count: isize, cpu: c_int) -> c_int {
    let operation = Add::<POINTER> {
        v: v.cast(),
        count: count as u64,
        release: true,
    };

    core::sync::atomic::fence(Ordering::Release);
    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, drop) }
}

/// *v += count, for 32 bits.
#[no_mangle]
pub unsafe extern "C" fn percpu_add32(v: *mut i32, count: i32, cpu: c_int) -> c_int {
    let operation = Add::<4> {
        v: v.cast(),
        count: count as u64,
        release: false,
    };

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, drop) }
}

/// *old = *v; *v += count.
#[no_mangle]
pub unsafe extern "C" fn percpu_fetch_addv(
    v: *mut isize,
    count: isize,
    old: *mut isize,
    cpu: c_int,
) -> c_int {
    let operation = FetchAdd::<POINTER> {
        v: v.cast(),
        count: count as u64,
    };

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, |value| old.write(value as isize)) }
}

/// *old = *v; *v = newv.
#[no_mangle]
pub unsafe extern "C" fn percpu_swapv(
    v: *mut isize,
    newv: isize,
    old: *mut isize,
    cpu: c_int,
) -> c_int {
    let operation = Swap::<POINTER> {
        v: v.cast(),
        new: newv as u64,
    };

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, |value| old.write(value as isize)) }
}

/// if (*v != expect) return 1; *v = newv.
#[no_mangle]
pub unsafe extern "C" fn percpu_cmpeqv_storev(
    v: *mut isize,
    expect: isize,
    newv: isize,
    cpu: c_int,
) -> c_int {
    let operation = CompareStore::<POINTER> {
        v: v.cast(),
        expect: expect as u64,
        new: newv as u64,
        release: true,
    };

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, drop) }
}

/// if (*v != expect) return 1; *v = newv, for 32 bits.
#[no_mangle]
pub unsafe extern "C" fn percpu_cmpeq_store32(
    v: *mut i32,
    expect: i32,
    new_value: i32,
    cpu: c_int,
) -> c_int {
    let operation = CompareStore::<4> {
        v: v.cast(),
        expect: expect as u64,
        new: new_value as u64,
        release: true,
    };

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, drop) }
}

/// if (*v == expectnot) return 1; *load = *v; *v = *(*v + voffp): takes the first element of a list
/// whose link is voffp bytes into an element.
#[no_mangle]
pub unsafe extern "C" fn percpu_cmpnev_storeoffp_load(
    v: *mut isize,
    expectnot: isize,
    voffp: isize,
    load: *mut isize,
    cpu: c_int,
) -> c_int {
    let operation = Pop {
        head: v.cast(),
        empty: expectnot as usize as u64,
        offset: voffp,
    };

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, |value| load.write(value as isize)) }
}

unsafe fn cmpeqv_storev_storev(
    v: *mut isize,
    expect: isize,
    v2: *mut isize,
    newv2: isize,
    newv: isize,
    release: bool,
    cpu: c_int,
) -> c_int {
    let operation = CompareStoreStore::<POINTER> {
        v: v.cast(),
        expect: expect as u64,
        v2: v2.cast(),
        new2: newv2 as u64,
        new: newv as u64,
        release,
    };

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, drop) }
}

/// if (*v != expect) return 1; *v2 = newv2; *v = newv.
#[no_mangle]
pub unsafe extern "C" fn percpu_cmpeqv_storev_storev(
    v: *mut isize,
    expect: isize,
    v2: *mut isize,
    newv2: isize,
    newv: isize,
    cpu: c_int,
) -> c_int {
    // SAFETY: As the caller vouches.
    unsafe { cmpeqv_storev_storev(v, expect, v2, newv2, newv, false, cpu) }
}

/// As percpu_cmpeqv_storev_storev(), and the last store is ordered after all loads and stores before
/// it.
#[no_mangle]
pub unsafe extern "C" fn percpu_cmpeqv_storev_storev_release(
    v: *mut isize,
    expect: isize,
    v2: *mut isize,
    newv2: isize,
    newv: isize,
    cpu: c_int,
) -> c_int {
    // SAFETY: As the caller vouches.
    unsafe { cmpeqv_storev_storev(v, expect, v2, newv2, newv, true, cpu) }
}

/// if (*v != expect) return 1; if (*v2 != expect2) return 2; *v = newv.
#[no_mangle]
pub unsafe extern "C" fn percpu_cmpeqv_cmpeqv_storev(
    v: *mut isize,
    expect: isize,
    v2: *mut isize,
    expect2: isize,
    newv: isize,
    cpu: c_int,
) -> c_int {
    let operation = CompareCompareStore::<POINTER> {
        v: v.cast(),
        expect: expect as u64,
        v2: v2.cast(),
        expect2: expect2 as u64,
        new: newv as u64,
    };

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, drop) }
}

#[allow(clippy::too_many_arguments)]
unsafe fn cmpeqv_memcpy_storev(
    v: *mut isize,
    expect: isize,
    dst: *mut c_void,
    src: *const c_void,
    len: size_t,
    newv: isize,
    release: bool,
    cpu: c_int,
) -> c_int {
    if len > CPU_OP_DATA_LEN_MAX {
        return fail(Error::Cpu);
    }
    let operation = CompareCopyStore::<POINTER> {
        v: v.cast(),
        expect: expect as u64,
        dst: dst.cast(),
        src: src.cast(),
        len,
        new: newv as u64,
        release,
    };

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, drop) }
}

/// if (*v != expect) return 1; memcpy(dst, src, len); *v = newv. At most 4096 bytes; dst may have
/// been written to also if nothing was stored in v.
#[no_mangle]
pub unsafe extern "C" fn percpu_cmpeqv_memcpy_storev(
    v: *mut isize,
    expect: isize,
    dst: *mut c_void,
    src: *const c_void,
    len: size_t,
    newv: isize,
    cpu: c_int,
) -> c_int {
    // SAFETY: As the caller vouches.
    unsafe { cmpeqv_memcpy_storev(v, expect, dst, src, len, newv, false, cpu) }
}

/// As percpu_cmpeqv_memcpy_storev(), and the store is ordered after all loads and stores before it.
#[no_mangle]
pub unsafe extern "C" fn percpu_cmpeqv_memcpy_storev_release(
    v: *mut isize,
    expect: isize,
    dst: *mut c_void,
    src: *const c_void,
    len: size_t,
    newv: isize,
    cpu: c_int,
) -> c_int {
    // SAFETY: As the caller vouches.
    unsafe { cmpeqv_memcpy_storev(v, expect, dst, src, len, newv, true, cpu) }
}

/// Puts an element, which is on no list, at the head of the list of a CPU.
#[no_mangle]
pub unsafe extern "C" fn percpu_list_push(
    list: *mut percpu_list,
    node: *mut percpu_list_node,
    cpu: c_int,
) -> c_int {
    let operation = Push {
        head: list.cast(),
        next: node.cast(),
        node: node.expose_provenance() as u64,
    };

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, drop) }
}

/// Takes the element at the head of the list of a CPU. Returns 1 if there is none.
#[no_mangle]
pub unsafe extern "C" fn percpu_list_pop(
    list: *mut percpu_list,
    node: *mut *mut percpu_list_node,
    cpu: c_int,
) -> c_int {
    let operation = Pop {
        head: list.cast(),
        empty: 0,
        offset: 0,
    };
    let found = |value| core::ptr::with_exposed_provenance_mut(value as usize);

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, |value| node.write(found(value))) }
}

/// Takes all elements of the list of a CPU. *first is NULL if there is none.
#[no_mangle]
pub unsafe extern "C" fn percpu_list_take_all(
    list: *mut percpu_list,
    first: *mut *mut percpu_list_node,
    cpu: c_int,
) -> c_int {
    let operation = Swap::<POINTER> {
        v: list.cast(),
        new: null_mut::<percpu_list_node>().addr() as u64,
    };
    let found = |value| core::ptr::with_exposed_provenance_mut(value as usize);

    // SAFETY: As the caller vouches.
    unsafe { run(&operation, cpu, |value| first.write(found(value))) }
}
