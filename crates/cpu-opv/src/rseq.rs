// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Restartable sequences: what the kernel and a thread share, and the sequences themselves.
//!
//! A thread registers an area with the kernel. The kernel keeps the number of the thread's CPU in
//! it, and looks for the descriptor of the sequence that the thread is in. If the thread was
//! preempted or got a signal in there, it goes on where the descriptor says that an aborted
//! sequence goes on. So a sequence whose last instruction is its only visible store has either run
//! in one piece on one CPU or done nothing.
//!
//! Each sequence here compares first the number of the CPU, then the gate (see [`tier`](crate::tier)).
//! Only then does it what it is for.

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
#[path = "rseq/aarch64.rs"]
mod arch;
#[cfg(target_arch = "riscv64")]
#[path = "rseq/riscv64.rs"]
mod arch;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
#[path = "rseq/x86_64.rs"]
mod arch;

/// What `struct rseq` was at first, which is as much of it as is needed here.
#[repr(C, align(32))]
pub(crate) struct Area {
    _cpu_id_start: AtomicU32,
    cpu_id: AtomicI32,
    _rseq_cs: AtomicU64,
    _flags: AtomicU32,
    _later: [AtomicU32; 3],
}

impl Area {
    /// An area that is not registered: no CPU has its number.
    #[allow(clippy::declare_interior_mutable_const)]
    const UNREGISTERED: i32 = -1;

    /// Returns the number of the thread's CPU, or a negative number.
    pub(crate) fn cpu(&self) -> i32 {
        self.cpu_id.load(core::sync::atomic::Ordering::Relaxed)
    }

    /// Makes it an area that is not registered.
    pub(crate) fn reset(&self) {
        self.cpu_id
            .store(Self::UNREGISTERED, core::sync::atomic::Ordering::Relaxed);
    }
}

/// The status of a sequence that has not done anything.
#[cfg_attr(not(cpu_opv_sequences), allow(dead_code))]
const ABORTED: u64 = u64::MAX;

/// How a sequence ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Attempt {
    /// Done. Has the old value if the sequence has one.
    Done(u64),
    /// The comparison of this number failed.
    Stopped(usize),
    /// Another CPU, a closed gate, or an abort: nothing has happened.
    Aborted,
}

#[cfg_attr(not(cpu_opv_sequences), allow(dead_code))]
impl Attempt {
    fn new(status: u64, old: u64) -> Self {
        match status {
            0 => Attempt::Done(old),
            ABORTED => Attempt::Aborted,
            stopped => Attempt::Stopped(stopped as usize - 1),
        }
    }
}

/// Whether there are sequences for the architecture.
pub(crate) const SUPPORTED: bool = cfg!(cpu_opv_sequences);

/// Runs the sequence of this name for words of this size.
#[cfg(cpu_opv_sequences)]
macro_rules! by_width {
    ($bytes:expr, $name:ident($($argument:expr),* $(,)?)) => {
        if $bytes == 8 {
            $crate::rseq::w64::$name($($argument),*)
        } else {
            $crate::rseq::w32::$name($($argument),*)
        }
    };
}
#[cfg(not(cpu_opv_sequences))]
macro_rules! by_width {
    ($bytes:expr, $name:ident($($argument:expr),* $(,)?)) => {{
        $(let _ = $argument;)*
        $crate::rseq::absent()
    }};
}
pub(crate) use by_width;

#[cfg(cpu_opv_sequences)]
pub(crate) use arch::{pop, push, w32, w64};

#[cfg(not(cpu_opv_sequences))]
mod none {
    use super::{Area, Attempt};

    pub(crate) unsafe fn absent() -> Attempt {
        Attempt::Aborted
    }

    pub(crate) unsafe fn push(
        _: *mut Area,
        _: i32,
        _: *const u32,
        _: *mut u8,
        _: *mut u8,
        _: u64,
    ) -> Attempt {
        Attempt::Aborted
    }

    pub(crate) unsafe fn pop(
        _: *mut Area,
        _: i32,
        _: *const u32,
        _: *mut u8,
        _: u64,
        _: isize,
    ) -> Attempt {
        Attempt::Aborted
    }
}
#[cfg(not(cpu_opv_sequences))]
pub(crate) use none::{absent, pop, push};

/// Returns how far from the thread pointer the area is that the C library has registered, if it
/// has: glibc 2.35 and later, unless a tunable or the kernel forbids it.
#[cfg(all(cpu_opv_sequences, not(miri)))]
pub(crate) fn registered_by_libc() -> Option<isize> {
    let (offset, size) = (arch::weak!("__rseq_offset"), arch::weak!("__rseq_size"));

    if offset.is_null() || size.is_null() {
        return None;
    }
    // SAFETY: They are variables of these types that do not change once the program has started.
    let (offset, size) = unsafe { (*offset.cast::<isize>(), *size.cast::<u32>()) };

    (size > 0).then_some(offset)
}

#[cfg(not(all(cpu_opv_sequences, not(miri))))]
pub(crate) fn registered_by_libc() -> Option<isize> {
    None
}

/// Returns the area of the calling thread that is this far from the thread pointer.
#[cfg(cpu_opv_sequences)]
pub(crate) fn area_at(offset: isize) -> *mut Area {
    arch::thread_pointer().wrapping_offset(offset).cast()
}

#[cfg(not(cpu_opv_sequences))]
pub(crate) fn area_at(_offset: isize) -> *mut Area {
    core::ptr::null_mut()
}

#[cfg(cpu_opv_sequences)]
fn rseq(area: *mut Area, flags: i32) -> bool {
    // SAFETY: The callers see to it that the area outlives the registration.
    unsafe {
        libc::syscall(
            libc::SYS_rseq,
            area,
            size_of::<Area>(),
            flags,
            arch::SIGNATURE,
        ) == 0
    }
}

#[cfg(not(cpu_opv_sequences))]
fn rseq(_area: *mut Area, _flags: i32) -> bool {
    false
}

/// Registers an area for the calling thread.
///
/// # Safety
///
/// The area stays where it is until it is unregistered or the thread has ended.
pub(crate) unsafe fn register(area: *mut Area) -> bool {
    rseq(area, 0)
}

/// Undoes [`register`], in the same thread.
pub(crate) fn unregister(area: *mut Area) {
    const RSEQ_FLAG_UNREGISTER: i32 = 1;

    rseq(area, RSEQ_FLAG_UNREGISTER);
}

#[cfg(all(test, cpu_opv_sequences, not(miri)))]
mod tests;
