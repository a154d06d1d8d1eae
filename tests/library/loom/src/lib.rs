// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The gate of `crates/cpu-opv/src/gate.rs` in all interleavings of a few threads, with all that
//! the memory model lets a load return, by [loom](https://docs.rs/loom).
//!
//! The code of the gate is the library's own. What the kernel does is a model here:
//!
//! - A CPU is a lock that is held for one instruction at a time. It remembers whether the sequence
//!   that is on its way there was aborted, and then no later instruction of that one runs.
//! - membarrier() takes the lock of each CPU and aborts what is there. So it orders what the CPU
//!   has done before what comes after, as the full barrier does that it makes on each CPU.
//! - A vector holds the CPU all the time, and aborts the sequence that it has preempted.
//!
//! The word is a cell that loom watches: an access that does not happen before or after every other
//! one is a failure, also where no addition is lost.

#![cfg(test)]

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;

#[path = "../../../../crates/cpu-opv/src/gate.rs"]
mod gate;

mod sync {
    pub(crate) use loom::sync::atomic::{fence, AtomicU32, Ordering};
}
use sync::{AtomicU32, Ordering};

/// What the threads of the process share. All operations are additions to one word of one CPU.
struct Process {
    gate: AtomicU32,
    lock: Mutex<()>,
    calling: [AtomicU32; 2],
    aborted: Mutex<bool>,
    word: UnsafeCell<usize>,
}

// SAFETY: loom finds the accesses to the word that are not ordered.
unsafe impl Sync for Process {}
// SAFETY: Nothing in it belongs to a thread.
unsafe impl Send for Process {}

impl Process {
    fn new() -> Self {
        Process {
            gate: AtomicU32::new(0),
            lock: Mutex::new(()),
            calling: [AtomicU32::new(0), AtomicU32::new(0)],
            aborted: Mutex::new(false),
            word: UnsafeCell::new(0),
        }
    }

    fn load(&self) -> usize {
        // SAFETY: loom finds a store at the same time.
        self.word.with(|word| unsafe { *word })
    }

    fn store(&self, value: usize) {
        // SAFETY: loom finds an access at the same time.
        self.word.with_mut(|word| unsafe { *word = value });
    }

    /// One instruction of a sequence, unless that was aborted.
    fn instruction<R>(&self, run: impl FnOnce() -> R) -> Option<R> {
        let aborted = self.aborted.lock().unwrap();

        (!*aborted).then(run)
    }

    /// Adds by a sequence, and returns whether it got to its end.
    fn sequence(&self) -> bool {
        *self.aborted.lock().unwrap() = false;
        let done = || {
            if self.instruction(|| self.gate.load(Ordering::Acquire))? != 0 {
                return None;
            }
            let old = self.instruction(|| self.load())?;
            self.instruction(|| self.store(old + 1))
        };
        done().is_some()
    }

    fn membarrier(&self) {
        *self.aborted.lock().unwrap() = true;
    }

    /// Adds by a vector, and returns whether it ran.
    fn vector(&self, caller: usize) -> bool {
        let may = gate::enter(&self.gate, &self.calling[caller]);

        if may {
            let mut aborted = self.aborted.lock().unwrap();
            *aborted = true;
            self.store(self.load() + 1);
        }
        gate::leave(&self.calling[caller]);
        may
    }

    /// Adds under the lock.
    fn locked(&self, membarrier: impl FnOnce(&Self)) {
        let held = self.lock.lock().unwrap();
        let fence = || {
            membarrier(self);
            Ok::<(), ()>(())
        };

        gate::close(&self.gate, fence, || self.calling.iter(), thread::yield_now).unwrap();
        self.store(self.load() + 1);
        gate::open(&self.gate);
        drop(held);
    }
}

/// Runs the threads in all interleavings. Each returns how often it has added.
fn explore(threads: &'static [fn(&Process) -> usize]) {
    let mut model = loom::model::Builder::new();
    // More than that finds nothing new here, and takes for ever.
    model.preemption_bound = Some(3);

    model.check(|| {
        let process = Arc::new(Process::new());
        let spawn = |run: &fn(&Process) -> usize| {
            let (run, process) = (*run, process.clone());
            thread::spawn(move || run(&process))
        };
        let handles: Vec<_> = threads[1..].iter().map(spawn).collect();
        let mut added = threads[0](&process);
        for handle in handles {
            added += handle.join().unwrap();
        }
        assert_eq!(process.load(), added);
    });
}

fn sequences(process: &Process) -> usize {
    (0..2).filter(|_| process.sequence()).count()
}

fn vector(process: &Process) -> usize {
    process.vector(0).into()
}

fn vectors(process: &Process) -> usize {
    (0..2).filter(|_| process.vector(0)).count()
}

fn locked(process: &Process) -> usize {
    process.locked(Process::membarrier);
    1
}

#[test]
fn sequences_and_the_lock() {
    explore(&[locked, sequences]);
}

#[test]
fn vectors_and_the_lock() {
    explore(&[locked, vectors]);
}

#[test]
fn vectors_of_two_threads_and_the_lock() {
    explore(&[locked, vector, |process| process.vector(1).into()]);
}

#[test]
fn two_holders_and_a_vector() {
    explore(&[locked, locked, vector]);
}

#[test]
fn all_three() {
    explore(&[locked, sequences, vector]);
}

/// The test of the tests: without what the kernel does a sequence goes on under the lock.
#[test]
#[should_panic]
fn a_lock_without_membarrier() {
    explore(&[
        |process| {
            process.locked(|_| ());
            1
        },
        sequences,
    ]);
}
