// SPDX-License-Identifier: GPL-2.0

//! The lock of calls for offline CPUs.

use crate::{
    bindings,
    sync::{
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Mutex, //
    }, //
};
use core::ptr::addr_of_mut;

/// Evidence that no other call for an offline CPU runs.
pub(super) type Exclusive = Guard<'static, (), MutexBackend>;

/// Waits until no other call for an offline CPU runs, and keeps it so.
///
/// Context: Process context. May sleep, for as long as the others take to run.
pub(super) fn lock() -> Exclusive {
    // SAFETY: It is a static variable of C, which is initialised when it is defined.
    let mutex = unsafe { Mutex::from_raw(addr_of_mut!(bindings::cpu_opv_offline_lock)) };

    mutex.lock()
}
