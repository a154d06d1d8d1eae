// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the operations cost in the tiers that `CPU_OPV_TIERS` leaves, by one thread, beside what a
//! program could do instead.
//!
//! As it is: a table, in multiples of an atomic addition. With `--csv WAY`: the rows of scripts/bench,
//! in units of the clock, which counts instructions there. The way `instead` is what a program could
//! do instead, any other is what the tiers are called.

use std::ffi::c_int;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::Mutex;
use std::time::Instant;

use cpu_opv::{counts, current_cpu, tiers, Link, List, Ops, Tiers};

/// Who measures, and what becomes of it.
enum Report {
    /// In multiples of so many nanoseconds.
    Table(f64),
    /// By this name of the way.
    Csv(String),
}

/// Returns the time of one round: of the fastest of many short runs, which other load has disturbed
/// the least.
fn fastest(round: &mut dyn FnMut()) -> f64 {
    let mut time = |rounds: u32| {
        let start = Instant::now();
        (0..rounds).for_each(|_| round());
        start.elapsed().as_nanos() as f64 / f64::from(rounds)
    };
    let rounds = (3e5 / time(10)).clamp(10.0, 1e5) as u32;

    (0..101).map(|_| time(rounds)).fold(f64::INFINITY, f64::min)
}

/// Returns the lowest, the median and the highest time of a round, of 15 runs.
fn spread(round: &mut dyn FnMut(), rounds: u32) -> [f64; 3] {
    (0..20).for_each(|_| round());
    let mut times = [0; 15].map(|_: u32| {
        let start = Instant::now();
        (0..rounds).for_each(|_| round());
        start.elapsed().as_nanos() as f64 / f64::from(rounds)
    });
    times.sort_by(f64::total_cmp);
    [times[0], times[7], times[14]]
}

impl Report {
    fn row(&self, name: &str, mut round: impl FnMut()) {
        match self {
            Report::Table(one) => println!("{name:<44}{:>9.1}", fastest(&mut round) / one),
            Report::Csv(way) => {
                let [low, median, high] = spread(&mut round, 100);
                println!("library,{name},0,{way},{median:.0},{low:.0},{high:.0}");
            }
        }
    }
}

/// A word on a line of its own.
#[repr(align(128))]
struct Line(AtomicUsize);

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

fn plain_add(word: &AtomicUsize) {
    word.store(word.load(Relaxed) + 1, Relaxed);
}

/// What a program could do instead.
fn instead(report: &Report, here: c_int, there: c_int) {
    let (shared, flag) = (Line(AtomicUsize::new(0)), Line(AtomicUsize::new(0)));
    let own: Vec<_> = (0..cpu_opv::nr_cpus())
        .map(|_| Line(AtomicUsize::new(0)))
        .collect();
    let mutex = Mutex::new(0usize);
    let stop = AtomicBool::new(false);

    report.row("mutex: addition", || *mutex.lock().unwrap() += 1);
    report.row("atomic addition to the CPU's own line", || {
        _ = black_box(own[current_cpu() as usize].0.fetch_add(1, Relaxed));
    });
    report.row("atomic addition to a line of all", || {
        _ = black_box(shared.0.fetch_add(1, Relaxed));
    });
    if there == here {
        return;
    }
    // A clock that counts instructions would count the other thread's.
    if let Report::Table(one) = report {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                use_cpus(&[there]);
                while !stop.load(Relaxed) {
                    shared.0.fetch_add(1, Relaxed);
                }
            });
            let before = shared.0.load(Relaxed);
            while shared.0.load(Relaxed) == before {
                std::hint::spin_loop();
            }
            // The fastest run would be one of which the other thread has missed a part.
            let [_, median, _] = spread(
                &mut || _ = black_box(shared.0.fetch_add(1, Relaxed)),
                100_000,
            );
            println!(
                "{:<44}{:>9.1}",
                "the same, while another CPU does it, too",
                median / one
            );
            stop.store(true, Relaxed);
        });
    }
    report.row("sched_setaffinity there and back: addition", || {
        use_cpus(&[there]);
        plain_add(&shared.0);
        use_cpus(&[here]);
    });
    membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ);
    use_cpus(&[here]);
    report.row("flag and membarrier: addition", || {
        flag.0.store(1, SeqCst);
        membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
        plain_add(&shared.0);
        flag.0.store(0, Release);
    });
}

/// The operations.
fn operations(report: &Report, here: c_int, there: c_int) {
    let (ops, word, word2) = (Ops::private(), AtomicUsize::new(0), AtomicUsize::new(0));
    let (list, link) = (List::new(), Link::new());
    let (mut bytes, record) = ([0u8; 64], [1u8; 64]);
    let cpu = current_cpu;

    report.row("add", || ops.add(&word, 1, cpu()).unwrap());
    report.row("fetch_add", || _ = ops.fetch_add(&word, 1, cpu()).unwrap());
    report.row("swap", || _ = ops.swap(&word, 1, cpu()).unwrap());
    report.row("compare_store", || {
        _ = ops.compare_store(&word, 1, 1, cpu()).unwrap();
    });
    report.row("compare_compare_store", || {
        _ = ops
            .compare_compare_store(&word, 1, &word2, 0, 1, cpu())
            .unwrap();
    });
    report.row("compare_store_store", || {
        _ = ops
            .compare_store_store(&word, 1, &word2, 0, 1, cpu())
            .unwrap();
    });
    report.row("compare_copy_store of 64 bytes", || {
        let (dst, src) = (bytes.as_mut_ptr(), record.as_ptr());
        // SAFETY: Both buffers are the thread's own.
        _ = unsafe { ops.compare_copy_store(&word, 1, dst, src, 64, 1, cpu()) }.unwrap();
    });
    report.row("push and pop", || {
        // SAFETY: The link is on no list, and the list is for one CPU.
        unsafe { ops.push(&list, (&link).into(), here) }.unwrap();
        ops.pop(&list, here).unwrap();
    });
    report.row("push and take_all", || {
        // SAFETY: As above.
        unsafe { ops.push(&list, (&link).into(), here) }.unwrap();
        ops.take_all(&list, here).unwrap();
    });
    if there != here {
        use_cpus(&[here, there]);
        report.row("add on the other CPU", || {
            let cpu = if cpu() == here { there } else { here };
            ops.add(&word, 1, cpu).unwrap();
        });
        use_cpus(&[here]);
    }
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let arguments: Vec<_> = std::env::args().collect();
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
    let (here, there) = (cpus[0], *cpus.last().unwrap());

    use_cpus(&[here]);
    if let Some(at) = arguments.iter().position(|argument| argument == "--csv") {
        let (way, Tiers { rseq, cpu_opv, .. }) = (arguments[at + 1].clone(), tiers());
        let named = (way.contains("rseq"), way.contains("cpu_opv"));
        let report = Report::Csv(way);
        if arguments[at + 1] == "instead" {
            return instead(&report, here, there);
        }
        assert_eq!((rseq, cpu_opv), named, "the tiers are others");
        return operations(&report, here, there);
    }

    let word = AtomicUsize::new(0);
    let one = fastest(&mut || _ = black_box(word.fetch_add(1, Relaxed)));
    println!(
        "{cores} CPUs, an atomic addition takes {one:.1} ns and is 1.0, {:?}",
        tiers()
    );
    let report = Report::Table(one);
    operations(&report, here, there);
    instead(&report, here, there);
    println!("{:?}", counts());
}
