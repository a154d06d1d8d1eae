// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the operations cost in the tiers that `CPU_OPV_TIERS` leaves, in multiples of an atomic
//! addition, beside what a program could do instead, by one thread.

use std::ffi::c_int;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::sync::Mutex;
use std::time::Instant;

use cpu_opv::{counts, current_cpu, tiers, Link, List, Ops};

/// Returns the nanoseconds of one round: of the fastest of many short runs, which other load has
/// disturbed the least.
fn measure(mut round: impl FnMut()) -> f64 {
    let mut time = |rounds: u32| {
        let start = Instant::now();
        (0..rounds).for_each(|_| round());
        start.elapsed().as_nanos() as f64 / f64::from(rounds)
    };
    let rounds = (3e5 / time(10)).clamp(10.0, 1e5) as u32;

    (0..101).map(|_| time(rounds)).fold(f64::INFINITY, f64::min)
}

fn use_cpus(cpus: &[c_int]) {
    // SAFETY: Zeroes are an empty set, and each number is one of a CPU.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        cpus.iter()
            .for_each(|cpu| libc::CPU_SET(*cpu as usize, &mut set));
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &set), 0);
    }
}

fn membarrier(command: c_int) {
    // SAFETY: It has no memory operands.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // The first two CPUs that the thread may use.
    let cpus: Vec<c_int> = (0..cpu_opv::nr_cpus())
        // SAFETY: The set is one of the kernel's making.
        .filter(|cpu| unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::sched_getaffinity(0, size_of_val(&set), &mut set);
            libc::CPU_ISSET(*cpu as usize, &set)
        })
        .take(2)
        .collect();
    let (ops, word, word2) = (Ops::private(), AtomicUsize::new(0), AtomicUsize::new(0));
    let (list, link) = (List::new(), Link::new());
    let (mut bytes, record) = ([0u8; 64], [1u8; 64]);
    let here = current_cpu();
    let there = cpus
        .iter()
        .copied()
        .find(|cpu| *cpu != here)
        .unwrap_or(here);
    let one = measure(|| {
        black_box(word.fetch_add(1, Relaxed));
    });
    let row = |name: &str, nanoseconds: f64| println!("{name:<44}{:>9.1}", nanoseconds / one);

    println!(
        "{cores} CPUs, an atomic addition takes {one:.1} ns, {:?}",
        tiers()
    );
    row("atomic addition", one);
    let mutex = Mutex::new(0usize);
    row(
        "mutex, addition, unlock",
        measure(|| *mutex.lock().unwrap() += 1),
    );
    row("add", measure(|| ops.add(&word, 1, current_cpu()).unwrap()));
    row(
        "fetch_add",
        measure(|| _ = ops.fetch_add(&word, 1, current_cpu())),
    );
    row("swap", measure(|| _ = ops.swap(&word, 1, current_cpu())));
    row(
        "compare_store",
        measure(|| _ = ops.compare_store(&word, 1, 1, current_cpu())),
    );
    row(
        "compare_store_store",
        measure(|| _ = ops.compare_store_store(&word, 1, &word2, 1, 1, current_cpu())),
    );
    row(
        "compare_copy_store, 64 bytes",
        measure(|| {
            let (dst, src) = (bytes.as_mut_ptr(), record.as_ptr());
            // SAFETY: Both buffers are the thread's own.
            _ = unsafe { ops.compare_copy_store(&word, 1, dst, src, 64, 1, current_cpu()) };
        }),
    );
    row(
        "push and pop",
        measure(|| {
            let cpu = here;
            // SAFETY: The link is on no list, and the list is for one CPU.
            unsafe { ops.push(&list, (&link).into(), cpu) }.unwrap();
            ops.pop(&list, cpu).unwrap();
        }),
    );

    use_cpus(&cpus[..1]);
    if there != here {
        use_cpus(&cpus);
        let other = |word: &AtomicUsize| {
            let cpu = if current_cpu() == here { there } else { here };
            ops.add(word, 1, cpu).unwrap();
        };
        row("add on the other CPU", measure(|| other(&word)));
        row(
            "sched_setaffinity there and back, addition",
            measure(|| {
                use_cpus(&[there]);
                word.store(word.load(Relaxed) + 1, Relaxed);
                use_cpus(&[here]);
            }),
        );
        use_cpus(&cpus);
        membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ);
        row(
            "flag, membarrier, addition, flag",
            measure(|| {
                word2.store(1, SeqCst);
                membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
                word.store(word.load(Relaxed) + 1, Relaxed);
                word2.store(0, Release);
            }),
        );
    }
    println!("{:?}", counts());
}
