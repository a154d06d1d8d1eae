// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the library knows about each thread that came by.
//!
//! The records are in memory that is never given back, so that the kernel may write to the area of
//! a thread that has ended without a word, and that the list of them can be walked without a lock.
//! A thread finds its own by a key of pthreads: unlike a thread-local variable of a library that
//! was loaded by `dlopen()` it allocates nothing, which matters in a signal handler.

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::rseq::{self, Area};

/// The record of a thread.
#[repr(C, align(64))]
pub(crate) struct Thread {
    area: Area,
    // Whether the thread is about to call cpu_opv(), or in there.
    calling: AtomicU32,
    used: AtomicU32,
    next: AtomicPtr<Thread>,
}

/// How many records are allocated together.
const BATCH: usize = 64;

/// All records.
static RECORDS: AtomicPtr<Thread> = AtomicPtr::new(null_mut());

fn records() -> impl Iterator<Item = &'static Thread> {
    let first = RECORDS.load(Ordering::Acquire);

    core::iter::successors(as_ref(first), |record| {
        as_ref(record.next.load(Ordering::Relaxed))
    })
}

fn as_ref(record: *mut Thread) -> Option<&'static Thread> {
    // SAFETY: A record that is on the list, or was found by the key, stays for ever.
    unsafe { record.as_ref() }
}

/// Creates the key, once in a process.
pub(crate) fn create_key() -> Option<libc::pthread_key_t> {
    let mut key = 0;

    // SAFETY: It stores the key.
    (unsafe { libc::pthread_key_create(&mut key, Some(leave)) } == 0).then_some(key)
}

impl Thread {
    /// Returns the record of the calling thread, if there is memory for one. With `sequences` its
    /// area is registered.
    pub(crate) fn current(key: libc::pthread_key_t, sequences: bool) -> Option<&'static Thread> {
        // SAFETY: The key was created.
        let found = unsafe { libc::pthread_getspecific(key) };

        as_ref(found.cast()).or_else(|| Self::enter(key, sequences))
    }

    #[cold]
    fn enter(key: libc::pthread_key_t, sequences: bool) -> Option<&'static Thread> {
        // A handler would make a second record, and an area cannot be registered twice.
        let _signals = crate::tier::BlockedSignals::new();
        let thread = Self::take()?;

        thread.area.reset();
        if sequences {
            // SAFETY: The record stays for ever.
            unsafe { rseq::register(thread.area()) };
        }
        // SAFETY: The key was created.
        if unsafe { libc::pthread_setspecific(key, (&raw const *thread).cast()) } != 0 {
            leave((&raw const *thread).cast_mut().cast());
            return None;
        }
        Some(thread)
    }

    /// Returns a record that no thread has.
    fn take() -> Option<&'static Thread> {
        let free = |record: &&Thread| {
            record
                .used
                .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        };

        records().find(free).or_else(Self::allocate)
    }

    fn allocate() -> Option<&'static Thread> {
        // SAFETY: It maps new memory.
        let memory = unsafe {
            libc::mmap(
                null_mut(),
                BATCH * size_of::<Thread>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };

        if memory == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: Zeroes are valid records, and the memory has room for that many.
        let batch = unsafe { core::slice::from_raw_parts(memory.cast::<Thread>(), BATCH) };

        batch[0].used.store(1, Ordering::Relaxed);
        for pair in batch.windows(2) {
            pair[0]
                .next
                .store((&raw const pair[1]).cast_mut(), Ordering::Relaxed);
        }
        let first = memory.cast::<Thread>();
        let last = &batch[BATCH - 1];
        let mut head = RECORDS.load(Ordering::Relaxed);
        loop {
            last.next.store(head, Ordering::Relaxed);
            match RECORDS.compare_exchange(head, first, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return as_ref(first),
                Err(now) => head = now,
            }
        }
    }

    /// Returns the thread's own area.
    pub(crate) fn area(&self) -> *mut Area {
        (&raw const self.area).cast_mut()
    }

    /// Whether the thread is about to call cpu_opv(), or in there.
    pub(crate) fn calling(&self) -> &AtomicU32 {
        &self.calling
    }

    /// Returns that of each thread.
    pub(crate) fn all_calling() -> impl Iterator<Item = &'static AtomicU32> {
        records().map(|record| &record.calling)
    }

    /// Frees the records of the threads that the child of a fork does not have.
    pub(crate) fn forked(own: Option<&Thread>) {
        for record in records() {
            if own.is_none_or(|own| !core::ptr::eq(record, own)) {
                record.calling.store(0, Ordering::Relaxed);
                record.used.store(0, Ordering::Release);
            }
        }
    }
}

/// Gives the record of a thread that ends to another.
extern "C" fn leave(record: *mut c_void) {
    if let Some(thread) = as_ref(record.cast()) {
        if thread.area.cpu() >= 0 {
            rseq::unregister(thread.area());
        }
        thread.area.reset();
        thread.calling.store(0, Ordering::Relaxed);
        thread.used.store(0, Ordering::Release);
    }
}
