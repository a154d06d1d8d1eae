// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a tracer does: each CPU has a ring buffer in memory that processes share. One process
//! writes records. Another one takes them from the buffers of all CPUs.
//!
//! Only cpu_opv() makes that possible. A lock would have to stop the restartable sequences of the
//! other process, and membarrier() only reaches those of its own process.

use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering::*};

use cpu_opv::{counts, current_cpu, nr_cpus, Error, Ops, Ring};

const RECORDS: usize = 5_000;

#[derive(Clone, Copy)]
struct Record {
    number: usize,
    cpu: i32,
}

struct Shared {
    rings: Vec<&'static Ring<Record, 64>>,
    written: &'static AtomicUsize,
}

/// Makes memory that a child process shares.
fn share<T>(value: T) -> &'static T {
    let (access, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_SHARED | libc::MAP_ANONYMOUS,
    );
    // SAFETY: It is new memory of that size, which is never unmapped. Both processes run this
    // program, so a record means the same to both.
    unsafe {
        let memory = libc::mmap(std::ptr::null_mut(), size_of::<T>(), access, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        memory.cast::<T>().write(value);
        &*memory.cast::<T>()
    }
}

fn write_records(shared: &Shared) -> Result<(), Error> {
    for number in 0..RECORDS {
        loop {
            let cpu = current_cpu();
            if let Some(reserved) = shared.rings[cpu as usize].reserve()? {
                reserved.commit(Record { number, cpu });
                break;
            }
            std::thread::yield_now();
        }
        shared.written.store(number + 1, Release);
    }
    Ok(())
}

fn take_records(shared: &Shared) -> Result<Vec<bool>, Error> {
    let mut seen = vec![false; RECORDS];

    loop {
        let done = shared.written.load(Acquire) == RECORDS;
        let mut taken = 0;
        for (cpu, ring) in (0..).zip(&shared.rings) {
            while let Some(record) = ring.pop()? {
                assert_eq!(record.cpu, cpu);
                assert!(!seen[record.number], "a record came twice");
                seen[record.number] = true;
                taken += 1;
            }
        }
        if done && taken == 0 {
            return Ok(seen);
        }
    }
}

fn main() -> Result<(), Error> {
    let ops = Ops::shared().unwrap_or_else(|error| {
        println!("ring buffers between processes need cpu_opv(): {error}");
        exit(3);
    });
    let shared = Shared {
        rings: (0..nr_cpus())
            .map(|cpu| share(Ring::new(ops, cpu)))
            .collect(),
        written: share(AtomicUsize::new(0)),
    };

    // SAFETY: The process has one thread.
    match unsafe { libc::fork() } {
        0 => exit(write_records(&shared).is_err().into()),
        writer => assert!(writer > 0),
    }
    let seen = take_records(&shared)?;
    let count = seen.iter().filter(|seen| **seen).count();

    println!("took {count} of {RECORDS} records");
    println!("{:?}", counts());
    assert_eq!(count, RECORDS);
    Ok(())
}
