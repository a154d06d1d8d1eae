// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A counter with a part for every CPU. Many threads add to it, and another one drains it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use cpu_opv::{counts, Counter, Error};

const THREADS: usize = 4;
const ROUNDS: usize = 5_000;

fn main() -> Result<(), Error> {
    let (requests, stop) = (Counter::new(), AtomicBool::new(false));

    let drained = thread::scope(|scope| {
        let reporter = scope.spawn(|| {
            let mut sum = 0;
            while !stop.load(Relaxed) {
                // Whatever is added meanwhile is in this sum or in the next one.
                sum += requests.drain()?;
            }
            Ok(sum)
        });
        let workers: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| (0..ROUNDS).try_for_each(|_| requests.add(1))))
            .collect();

        for worker in workers {
            worker.join().expect("a worker panicked")?;
        }
        stop.store(true, Relaxed);
        reporter.join().expect("the reporter panicked")
    })?;
    let sum = drained + requests.sum();

    println!("counted {sum} of {}", THREADS * ROUNDS);
    println!("{:?}", counts());
    assert_eq!(sum as usize, THREADS * ROUNDS);
    Ok(())
}
