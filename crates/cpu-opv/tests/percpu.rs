// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The per-CPU operations, in the tiers that `CPU_OPV_TIERS` leaves: run once for each choice.

use std::{
    ffi::{c_int, CString},
    fs,
    path::PathBuf,
    process::Command,
    ptr,
    sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering::*},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use cpu_opv::{
    counts, current_cpu, nr_cpus, start, tiers, Counter, Error, Link, List, Mismatch, Ops, PerCpu,
    Ring, Stack,
};

/// Held by each test: some count what all do, and some fork.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> impl Drop {
    ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// How long a load lasts, at least.
const LOAD: Duration = Duration::from_millis(300);

fn asked_for(tier: &str) -> bool {
    std::env::var("CPU_OPV_TIERS").map_or(true, |tiers| tiers.contains(tier))
}

fn has_sequences() -> bool {
    cfg!(all(
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64"
        ),
        target_endian = "little",
        target_pointer_width = "64"
    ))
}

fn pin_to(cpus: &[c_int]) {
    // SAFETY: Zeroes are an empty set, and each number is one of a CPU.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for cpu in cpus {
            libc::CPU_SET(*cpu as usize, &mut set);
        }
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &set), 0);
    }
}

/// The CPUs that are online.
fn online() -> Vec<c_int> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap();

    list.trim()
        .split(',')
        .flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse().unwrap()..=last.parse::<c_int>().unwrap()
        })
        .collect()
}

/// A CPU that the thread is on, and one that it is not on and may not go to.
fn here_and_there() -> Option<(c_int, c_int)> {
    let online = online();
    let (here, there) = (*online.first()?, *online.last()?);

    pin_to(&[here]);
    (here != there).then_some((here, there))
}

/// What is not used must not be taken for tested.
#[test]
fn tiers_are_those_asked_for() {
    let _alone = alone();
    let kernel_has_rseq = std::fs::read_to_string("/proc/self/status").is_ok() && {
        // SAFETY: The call fails.
        unsafe { libc::syscall(libc::SYS_rseq, 0, 0, 0, 0) };
        std::io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
    };
    let tiers = tiers();
    let has_vectors = asked_for("cpu_opv") && cpu_opv::is_available();
    let is_fenced = has_vectors || std::env::var_os(NO_MEMBARRIER).is_none();
    let wants_sequences = has_sequences() && asked_for("rseq");

    println!("{tiers:?}, {} CPUs", nr_cpus());
    assert_eq!(tiers.rseq, wants_sequences && is_fenced && kernel_has_rseq);
    assert_eq!(tiers.cpu_opv, has_vectors);
    if wants_sequences && !is_fenced {
        assert_eq!(start(), Err(Error::Unfenced));
    } else {
        assert_eq!(start(), Ok(tiers));
    }
}

/// Runs tests of this program again, each in a process of its own that `prepare` has changed.
fn again(tests: &[&str], prepare: impl Fn(&mut Command)) {
    for test in tests {
        let mut command = Command::new(std::env::current_exe().unwrap());

        prepare(command.args(["--exact", test, "--nocapture"]));
        let output = command.output().unwrap();
        let words = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && words.contains("test result: ok. 1 passed"),
            "{test}: {output:?}"
        );
    }
}

/// How the environment says that membarrier() fails.
const NO_MEMBARRIER: &str = "CPU_OPV_TEST_NO_MEMBARRIER";

/// Makes membarrier() fail in the process from now on, as it does on an older kernel.
#[cfg(target_arch = "x86_64")]
fn refuse_membarrier(errno: c_int) -> std::io::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_UNLESS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    let mut steps = [
        // The number of the call is the first word.
        step(LOAD, 0, 0),
        step(JUMP_UNLESS, 1, libc::SYS_membarrier as u32),
        step(RETURN, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };

    // SAFETY: The filter is read only.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) != 0
    };
    if failed {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// Where nothing fences the sequences the library says so, begins none, and is as right as ever.
/// Before 5.10 membarrier() has no such command, and a filter may not let it through.
#[test]
#[cfg(target_arch = "x86_64")]
fn kernels_that_do_not_fence_sequences() {
    use std::os::unix::process::CommandExt;

    let _alone = alone();
    let tests = [
        "tiers_are_those_asked_for",
        "own_cpu_is_done_by_sequences",
        "counters_lose_nothing",
        "long_sequences_lose_nothing",
    ];
    // With cpu_opv() a thread that may not go to a CPU gets an error where nothing is fenced, and
    // the last tests have such threads.
    let has_vectors = asked_for("cpu_opv") && cpu_opv::is_available();
    let tests = &tests[..if has_vectors { 2 } else { 4 }];
    for errno in [libc::EINVAL, libc::ENOSYS, libc::EPERM] {
        again(tests, |command| {
            command.env(NO_MEMBARRIER, errno.to_string());
            // SAFETY: The child uses what is allowed after a fork.
            unsafe { command.pre_exec(move || refuse_membarrier(errno)) };
        });
    }
}

/// Runs `check` for the CPU that the thread is on, for another one, and for one that is offline if
/// there is one.
fn on_every_kind_of_cpu(check: impl Fn(c_int) + Send + Sync) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let online = online();
            check(current_cpu());
            for cpu in 0..nr_cpus() {
                check(cpu);
            }
            pin_to(&online[..1]);
            for cpu in 0..nr_cpus() {
                check(cpu);
            }
        });
    });
}

#[test]
fn words_of_64_bits() {
    let _alone = alone();
    on_every_kind_of_cpu(|cpu| {
        let (ops, v, v2) = (Ops::private(), AtomicUsize::new(40), AtomicUsize::new(7));

        assert_eq!(ops.add(&v, 2, cpu), Ok(()));
        assert_eq!(v.load(Relaxed), 42);
        assert_eq!(ops.add_release(&v, 0usize.wrapping_sub(2), cpu), Ok(()));
        assert_eq!(ops.fetch_add(&v, 1, cpu), Ok(40));
        assert_eq!(ops.swap(&v, 5, cpu), Ok(41));
        assert_eq!(ops.compare_store(&v, 4, 6, cpu), Ok(Err(Mismatch(0))));
        assert_eq!(v.load(Relaxed), 5);
        assert_eq!(ops.compare_store(&v, 5, 6, cpu), Ok(Ok(())));
        assert_eq!(v.load(Relaxed), 6);
        assert_eq!(
            ops.compare_store_store(&v, 5, &v2, 8, 9, cpu),
            Ok(Err(Mismatch(0)))
        );
        assert_eq!((v.load(Relaxed), v2.load(Relaxed)), (6, 7));
        assert_eq!(ops.compare_store_store(&v, 6, &v2, 8, 9, cpu), Ok(Ok(())));
        assert_eq!((v.load(Relaxed), v2.load(Relaxed)), (9, 8));
        assert_eq!(
            ops.compare_compare_store(&v, 1, &v2, 8, 2, cpu),
            Ok(Err(Mismatch(0)))
        );
        assert_eq!(
            ops.compare_compare_store(&v, 9, &v2, 1, 2, cpu),
            Ok(Err(Mismatch(1)))
        );
        assert_eq!(v.load(Relaxed), 9);
        assert_eq!(ops.compare_compare_store(&v, 9, &v2, 8, 2, cpu), Ok(Ok(())));
        assert_eq!(v.load(Relaxed), 2);
    });
}

/// Nothing outside of the word is touched, and only the word's own bits are compared.
#[test]
fn words_of_32_bits() {
    let _alone = alone();
    on_every_kind_of_cpu(|cpu| {
        let ops = Ops::private();
        let [before, v, v2, after] = &[const { AtomicI32::new(-1) }; 4];

        v.store(-2, Relaxed);
        v2.store(i32::MIN, Relaxed);
        assert_eq!(ops.add(v, 1, cpu), Ok(()));
        assert_eq!(ops.add_release(v, 1, cpu), Ok(()));
        assert_eq!(ops.fetch_add(v, -1, cpu), Ok(0));
        assert_eq!(ops.swap(v, -5, cpu), Ok(-1));
        assert_eq!(ops.compare_store(v, 5, 6, cpu), Ok(Err(Mismatch(0))));
        assert_eq!(ops.compare_store(v, -5, -6, cpu), Ok(Ok(())));
        assert_eq!(
            ops.compare_compare_store(v, -6, v2, 0, 2, cpu),
            Ok(Err(Mismatch(1)))
        );
        assert_eq!(
            ops.compare_compare_store(v, -6, v2, i32::MIN, -2, cpu),
            Ok(Ok(()))
        );
        assert_eq!(ops.compare_store_store(v, -2, v2, -8, -9, cpu), Ok(Ok(())));
        assert_eq!((v.load(Relaxed), v2.load(Relaxed)), (-9, -8));
        assert_eq!((before.load(Relaxed), after.load(Relaxed)), (-1, -1));
        assert_eq!(ops.swap(&AtomicU32::new(u32::MAX), 0, cpu), Ok(u32::MAX));
    });
}

#[test]
fn pointers() {
    let _alone = alone();
    on_every_kind_of_cpu(|cpu| {
        let (mut a, mut b) = (1, 2);
        let (a, b) = (&raw mut a, &raw mut b);
        let v = AtomicPtr::new(a);

        assert_eq!(
            Ops::private().compare_store(&v, b, a, cpu),
            Ok(Err(Mismatch(0)))
        );
        assert_eq!(Ops::private().compare_store(&v, a, b, cpu), Ok(Ok(())));
        assert_eq!(Ops::private().swap(&v, std::ptr::null_mut(), cpu), Ok(b));
    });
}

#[test]
fn copies() {
    let _alone = alone();
    on_every_kind_of_cpu(|cpu| {
        let source: Vec<u8> = (0..4097u32).map(|i| (i * 7) as u8).collect();

        for len in [0, 1, 7, 8, 9, 63, 4096] {
            let (v, mut copy) = (AtomicUsize::new(1), vec![0xaau8; len + 2]);
            let dst = copy[1..].as_mut_ptr();
            // SAFETY: Both buffers have that many bytes, and nobody else knows them.
            let copy_if = |expect| unsafe {
                Ops::private().compare_copy_store(&v, expect, dst, source.as_ptr(), len, 2, cpu)
            };

            assert_eq!(copy_if(0), Ok(Err(Mismatch(0))));
            assert_eq!(copy_if(1), Ok(Ok(())));
            assert_eq!(v.load(Relaxed), 2);
            assert_eq!(copy[1..=len], source[..len]);
            assert_eq!((copy[0], copy[len + 1]), (0xaa, 0xaa));
        }
        let v = AtomicUsize::new(1);
        // SAFETY: It is refused.
        let too_long = unsafe {
            let mut copy = [0u8; 1];
            Ops::private().compare_copy_store(&v, 1, &mut copy[0], source.as_ptr(), 4097, 2, cpu)
        };
        assert_eq!(too_long, Err(Error::Cpu));
    });
}

#[test]
fn lists() {
    let _alone = alone();
    on_every_kind_of_cpu(|cpu| {
        let (ops, list) = (Ops::private(), List::new());
        let links = [const { Link::new() }; 3];

        for link in &links {
            // SAFETY: The links outlive what is done with the list, which is for one CPU.
            assert_eq!(unsafe { ops.push(&list, link.into(), cpu) }, Ok(()));
        }
        assert_eq!(ops.pop(&list, cpu), Ok(Some((&links[2]).into())));
        let first = ops.take_all(&list, cpu).unwrap().unwrap();
        assert_eq!(first, (&links[1]).into());
        // SAFETY: The links are there.
        assert_eq!(unsafe { first.as_ref() }.next(), Some((&links[0]).into()));
        assert_eq!(links[0].next(), None);
        assert_eq!(ops.pop(&list, cpu), Ok(None));
        assert_eq!(ops.take_all(&list, cpu), Ok(None));
    });
}

#[test]
fn impossible_cpus() {
    let _alone = alone();
    let v = AtomicUsize::new(0);

    for cpu in [-1, c_int::MIN, nr_cpus(), c_int::MAX] {
        assert_eq!(Ops::private().add(&v, 1, cpu), Err(Error::Cpu));
        assert_eq!(Ops::private().swap(&v, 1, cpu), Err(Error::Cpu));
    }
    assert_eq!(v.load(Relaxed), 0);
}

/// On its own CPU a thread does nearly all by sequences: what it does otherwise is counted.
#[test]
fn own_cpu_is_done_by_sequences() {
    let _alone = alone();
    const ROUNDS: usize = 20_000;
    let v = AtomicUsize::new(0);
    let before = counts();

    for _ in 0..ROUNDS {
        Ops::private().add(&v, 1, current_cpu()).unwrap();
    }
    let after = counts();
    let slow = after.vectors - before.vectors + after.locked - before.locked;
    println!("{slow} of {ROUNDS} were not done by a sequence");
    assert_eq!(v.load(Relaxed), ROUNDS);
    if tiers().rseq {
        assert!(slow < ROUNDS / 10);
    } else {
        assert_eq!(slow, ROUNDS);
    }
}

/// What is for another CPU is done by cpu_opv() or under the lock, whichever is there. For a CPU
/// that the thread may not use it is the lock in any case.
#[test]
fn other_cpus_are_done_by_the_fallback() {
    let _alone = alone();
    thread::spawn(|| {
        let online = online();
        let Some(there) = online.iter().find(|cpu| **cpu != online[0]).copied() else {
            return;
        };
        let v = AtomicUsize::new(0);

        let before = counts();
        for _ in 0..100 {
            let cpu = if current_cpu() == there {
                online[0]
            } else {
                there
            };
            Ops::private().add(&v, 1, cpu).unwrap();
        }
        let after = counts();
        println!("{before:?} {after:?}");
        if tiers().cpu_opv {
            assert!(after.vectors - before.vectors > 50);
            assert_eq!(after.locked, before.locked);
        } else {
            assert!(after.locked - before.locked > 50);
            assert_eq!(after.vectors, before.vectors);
        }

        pin_to(&online[..1]);
        let before = counts();
        for _ in 0..10 {
            Ops::private().add(&v, 1, there).unwrap();
        }
        assert_eq!(counts().locked - before.locked, 10);
        assert_eq!(v.load(Relaxed), 110);
        if let Ok(shared) = Ops::shared() {
            assert_eq!(shared.add(&v, 1, there), Err(Error::Cpu));
        }
    })
    .join()
    .unwrap();
}

/// A random number, of a generator for each thread.
struct Random(u32);

impl Random {
    fn below(&mut self, limit: c_int) -> c_int {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(self.0) * limit as u64) >> 32) as c_int
    }
}

/// Runs threads that do `local` and others that do `remote` until the time is up, and there was
/// enough of both. Returns how often each was done. Some threads may use one CPU only.
fn load(
    local: impl Fn(&mut Random) + Send + Sync,
    remote: impl Fn(&mut Random) + Send + Sync,
) -> (usize, usize) {
    let (stop, enough) = (AtomicBool::new(false), 200);
    let done = [const { AtomicUsize::new(0) }; 2];
    let run = |number: u32, step: &(dyn Fn(&mut Random) + Send + Sync), done: &AtomicUsize| {
        let mut random = Random(number);
        if number % 3 == 0 {
            let online = online();
            pin_to(&[online[number as usize % online.len()]]);
        }
        while !stop.load(Relaxed) {
            step(&mut random);
            done.fetch_add(1, Relaxed);
        }
    };

    thread::scope(|scope| {
        for number in 0..6 {
            let (run, done) = (&run, &done);
            let (local, remote) = (&local, &remote);
            scope.spawn(move || match number % 2 {
                0 => run(number, local, &done[0]),
                _ => run(number, remote, &done[1]),
            });
        }
        let start = Instant::now();
        while start.elapsed() < LOAD || done.iter().any(|done| done.load(Relaxed) < enough) {
            thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Relaxed);
    });
    let [local, remote] = done.map(AtomicUsize::into_inner);
    println!("{local} local, {remote} remote, {:?}", counts());
    (local, remote)
}

/// An addition that is not atomic against another loses it.
#[test]
fn counters_lose_nothing() {
    let _alone = alone();
    let parts = PerCpu::new(|_| AtomicUsize::new(0));
    let ops = Ops::private();
    let (local, remote) = load(
        |_| {
            let (cpu, part) = parts.current();
            ops.add(part, 1, cpu).unwrap();
        },
        |random| {
            let cpu = random.below(nr_cpus());
            ops.fetch_add(parts.get(cpu).unwrap(), 1, cpu).unwrap();
        },
    );
    let sum: usize = parts.iter().map(|(_, part)| part.load(Relaxed)).sum();

    assert_eq!(sum, local + remote);
}

/// One thread does nothing but sequences that take their time between the comparison and the store,
/// and a thread on another CPU adds to the same word. A lock that does not fence the sequences loses
/// additions here.
#[test]
fn long_sequences_lose_nothing() {
    let _alone = alone();
    let online = online();
    let (here, there) = (online[0], online[online.len() - 1]);
    let (word, ops, stop) = (AtomicUsize::new(0), Ops::private(), AtomicBool::new(false));
    let add_slowly = || {
        let (source, mut copy) = ([0u8; 4096], [0u8; 4096]);
        loop {
            let old = word.load(Relaxed);
            // SAFETY: Both buffers are the thread's own.
            let done = unsafe {
                let (dst, src) = (copy.as_mut_ptr(), source.as_ptr());
                ops.compare_copy_store(&word, old, dst, src, 4096, old + 1, here)
            };
            if done.unwrap().is_ok() {
                return;
            }
        }
    };
    let mut remote = 0;

    let local = thread::scope(|scope| {
        let local = scope.spawn(|| {
            let mut done = 0;
            pin_to(&[here]);
            while !stop.load(Relaxed) {
                add_slowly();
                done += 1;
            }
            done
        });
        let counting = scope.spawn(|| {
            let start = Instant::now();
            let mut done = 0;
            pin_to(&[there]);
            while start.elapsed() < LOAD || done < 1000 {
                ops.add(&word, 1, here).unwrap();
                done += 1;
            }
            stop.store(true, Relaxed);
            done
        });
        remote += counting.join().unwrap();
        local.join().unwrap()
    });
    println!("{local} local, {remote} remote, {:?}", counts());
    assert_eq!(word.into_inner(), local + remote);
}

#[test]
fn counter_drains_lose_nothing() {
    let _alone = alone();
    let (counter, drained) = (Counter::new(), AtomicUsize::new(0));
    let (local, _) = load(
        |_| counter.add(1).unwrap(),
        |_| {
            drained.fetch_add(counter.drain().unwrap() as usize, Relaxed);
        },
    );

    assert_eq!(drained.into_inner() + counter.sum() as usize, local);
}

/// The nodes are freed by whoever pops them, so a sequence that goes on with one that another
/// thread has taken is a use of freed memory as well.
#[test]
fn stacks_lose_nothing() {
    let _alone = alone();
    let (stack, taken) = (Stack::new(), AtomicUsize::new(0));
    let (pushed, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let count = |value: usize| {
        taken.fetch_add(1, Relaxed);
        sum.fetch_add(value, Relaxed);
    };

    load(
        |_| {
            stack.push(pushed.fetch_add(1, Relaxed)).unwrap();
            if let Some(value) = stack.pop().unwrap() {
                count(value);
            }
            stack.push(pushed.fetch_add(1, Relaxed)).unwrap();
        },
        |random| {
            let cpu = random.below(nr_cpus());
            match random.below(3) {
                0 => stack.take_all(cpu).unwrap().for_each(count),
                1 => stack.push_to(pushed.fetch_add(1, Relaxed), cpu).unwrap(),
                _ => {
                    if let Some(value) = stack.pop_from(cpu).unwrap() {
                        count(value);
                    }
                }
            }
        },
    );
    for cpu in 0..nr_cpus() {
        stack.take_all(cpu).unwrap().for_each(count);
    }
    let pushed = pushed.into_inner();
    assert_eq!(taken.into_inner(), pushed);
    assert_eq!(sum.into_inner(), (0..pushed).fold(0, usize::wrapping_add));
}

/// A CPU that can be taken offline, if the machine is there for that.
fn removable_cpu() -> Option<String> {
    std::env::var_os("CPU_OPV_TEST_HOTPLUG")?;
    let cpu = online().into_iter().rev().find(|cpu| *cpu > 0)?;
    let file = format!("/sys/devices/system/cpu/cpu{cpu}/online");

    std::fs::OpenOptions::new().write(true).open(&file).ok()?;
    Some(file)
}

/// Many threads use the stack while another drains it, also where a CPU has gone, with all that is
/// its own, and comes back.
#[test]
fn two_hundred_threads() {
    const THREADS: usize = 200;
    const ROUNDS: usize = 3;
    let _alone = alone();
    let (stack, stop) = (Stack::new(), AtomicBool::new(false));
    let (pushed, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let drain = || {
        for cpu in 0..nr_cpus() {
            taken.fetch_add(stack.take_all(cpu).unwrap().count(), Relaxed);
        }
    };
    let mut changes = 0;

    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    stack.push(()).unwrap();
                    thread::yield_now();
                    if stack.pop().unwrap().is_some() {
                        taken.fetch_add(1, Relaxed);
                    }
                    stack.push(()).unwrap();
                    pushed.fetch_add(2, Relaxed);
                }
            });
        }
        let file = removable_cpu();
        let mut rounds = 0;
        while rounds < ROUNDS || pushed.load(Relaxed) < 10 * THREADS {
            for state in ["0", "1"] {
                if let Some(file) = &file {
                    // Another task may hold hotplug.
                    while std::fs::write(file, state).is_err() {
                        thread::sleep(Duration::from_millis(10));
                    }
                    changes += 1;
                }
                drain();
            }
            rounds += 1;
        }
        stop.store(true, Relaxed);
    });
    drain();
    println!("{changes} changes of the online CPUs, {:?}", counts());
    assert_eq!(taken.into_inner(), pushed.into_inner());
    assert!(changes > 0 || std::env::var_os("CPU_OPV_TEST_HOTPLUG").is_none());
}

/// A cpuset that the process is in, which restricts the CPUs of all of its threads.
struct Cpuset {
    hierarchy: PathBuf,
    group: PathBuf,
}

impl Cpuset {
    /// Puts the process into a cpuset of its own, if the machine is there for that.
    fn enter() -> Option<Self> {
        std::env::var_os("CPU_OPV_TEST_HOTPLUG")?;
        let hierarchy = std::env::temp_dir().join(format!("percpu-{}", std::process::id()));
        let group = hierarchy.join(format!("percpu-{}", std::process::id()));
        let directory = CString::new(hierarchy.to_str()?).ok()?;
        let kind = c"cgroup2".as_ptr();

        fs::create_dir(&hierarchy).unwrap();
        // SAFETY: These are strings, and cgroup2 takes no data.
        let ret = unsafe { libc::mount(kind, directory.as_ptr(), kind, 0, ptr::null()) };
        assert_eq!(ret, 0, "{}", std::io::Error::last_os_error());
        fs::write(hierarchy.join("cgroup.subtree_control"), "+cpuset").unwrap();
        fs::create_dir(&group).unwrap();
        fs::write(group.join("cgroup.procs"), "0").unwrap();
        Some(Self { hierarchy, group })
    }

    fn allow(&self, cpus: &[c_int]) {
        let list: Vec<_> = cpus.iter().map(c_int::to_string).collect();
        fs::write(self.group.join("cpuset.cpus"), list.join(",")).unwrap();
    }
}

impl Drop for Cpuset {
    fn drop(&mut self) {
        fs::write(self.hierarchy.join("cgroup.procs"), "0").unwrap();
        fs::remove_dir(&self.group).unwrap();
        let directory = CString::new(self.hierarchy.to_str().unwrap()).unwrap();
        // SAFETY: It is a string.
        unsafe { libc::umount(directory.as_ptr()) };
        fs::remove_dir(&self.hierarchy).unwrap();
    }
}

/// A manager takes CPUs away from threads that work on the data of all CPUs. cpu_opv() refuses
/// those CPUs then.
#[test]
fn cpus_that_a_manager_takes_away() {
    const THREADS: u32 = 6;
    const CHANGES: usize = 60;
    const OPERATIONS: usize = 200;
    let _alone = alone();
    let cpus = online();
    let Some(cpuset) = Cpuset::enter().filter(|_| cpus.len() > 1) else {
        println!("needs a machine that is there for that");
        return;
    };
    let (first, others) = cpus.split_at(1);
    let parts = PerCpu::new(|_| AtomicUsize::new(0));
    let (ops, locked) = (Ops::private(), counts().locked);
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));

    thread::scope(|scope| {
        for number in 0..THREADS {
            let (parts, stop, done) = (&parts, &stop, &done);
            scope.spawn(move || {
                let mut random = Random(number);
                while !stop.load(Relaxed) {
                    let cpu = random.below(nr_cpus());
                    ops.add(parts.get(cpu).unwrap(), 1, cpu).unwrap();
                    done.fetch_add(1, Relaxed);
                }
            });
        }
        let mut changes = 0;
        while changes < CHANGES || done.load(Relaxed) < OPERATIONS || counts().locked == locked {
            for allowed in [first, others, &cpus] {
                cpuset.allow(allowed);
                thread::sleep(Duration::from_millis(5));
                changes += 1;
            }
        }
        stop.store(true, Relaxed);
        println!("{changes} changes of the cpuset, {:?}", counts());
    });
    let sum: usize = parts.iter().map(|(_, part)| part.load(Relaxed)).sum();

    assert_eq!(sum, done.into_inner());
}

#[test]
fn dropped_stacks_free_their_values() {
    let _alone = alone();
    let value = std::sync::Arc::new(());
    let stack = Stack::new();

    for cpu in 0..nr_cpus() {
        stack.push_to(value.clone(), cpu).unwrap();
        stack.push_to(value.clone(), cpu).unwrap();
    }
    drop(stack.take_all(0).unwrap());
    assert_eq!(
        std::sync::Arc::strong_count(&value),
        2 * nr_cpus() as usize - 1
    );
    drop(stack);
    assert_eq!(std::sync::Arc::strong_count(&value), 1);
}

#[test]
fn rings_lose_nothing() {
    let _alone = alone();
    let rings = PerCpu::new(|cpu| Ring::<[usize; 3], 16>::new(Ops::private(), cpu));
    let (next, sum) = (AtomicUsize::new(1), AtomicUsize::new(0));
    let (committed, popped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let pop = |ring: &Ring<[usize; 3], 16>| {
        while let Some([a, b, c]) = ring.pop().unwrap() {
            // A record that is torn has parts of two.
            assert_eq!((a, a), (b, c));
            popped.fetch_add(1, Relaxed);
            sum.fetch_add(a, Relaxed);
        }
    };

    load(
        |random| {
            let (_, ring) = rings.current();
            if let Some(reserved) = ring.reserve().unwrap() {
                if random.below(8) == 0 {
                    return;
                }
                let number = next.fetch_add(1, Relaxed);
                reserved.commit([number; 3]);
                committed.fetch_add(1, Relaxed);
            } else {
                pop(ring);
            }
        },
        |random| pop(rings.get(random.below(nr_cpus())).unwrap()),
    );
    rings.iter().for_each(|(_, ring)| pop(ring));
    assert_eq!(popped.into_inner(), committed.into_inner());
    assert_eq!(
        sum.into_inner(),
        (1..next.into_inner()).fold(0, usize::wrapping_add)
    );
}

#[test]
fn rings_are_full_at_their_size() {
    let _alone = alone();
    let ring = Ring::<u8, 4>::new(Ops::private(), 0);
    let reserved: Vec<_> = (0..4).map(|_| ring.reserve().unwrap().unwrap()).collect();

    assert!(ring.reserve().unwrap().is_none());
    assert_eq!(ring.pop(), Ok(None));
    for (number, reserved) in (0..).zip(reserved) {
        if number == 1 {
            drop(reserved);
        } else {
            reserved.commit(number);
        }
    }
    assert_eq!(ring.pop(), Ok(Some(0)));
    assert_eq!(ring.pop(), Ok(Some(2)));
    assert!(ring.reserve().unwrap().is_some());
    assert_eq!(ring.pop(), Ok(Some(3)));
    assert_eq!(ring.pop(), Ok(None));
}

/// Runs `child` in a child process and returns its exit status.
fn fork(child: impl FnOnce() -> c_int) -> c_int {
    let mut status = 0;

    // SAFETY: The child uses what is allowed after a fork of a process with threads.
    unsafe {
        let pid = libc::fork();
        assert!(pid >= 0);
        if pid == 0 {
            // Far more than it takes, as a guest on a busy machine has little time.
            libc::alarm(600);
            libc::_exit(child());
        }
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
    }
    assert!(libc::WIFEXITED(status), "{status:#x}");
    libc::WEXITSTATUS(status)
}

/// Whatever the other threads are doing, the child has data as they are between two operations, and
/// can go on with them. The two words are in two pages. A sequence that was aborted may have stored
/// the first, which is stored again before the second; never is the second ahead.
#[test]
fn forks_see_whole_operations() {
    let _alone = alone();
    #[repr(align(4096))]
    struct Page(AtomicUsize);
    struct Pair(Page, Page);
    let pairs = PerCpu::new(|_| Pair(Page(AtomicUsize::new(0)), Page(AtomicUsize::new(0))));
    let ops = Ops::private();
    let count = |cpu, Pair(Page(first), Page(second)): &Pair| loop {
        let old = second.load(Relaxed);
        match ops.compare_store_store(second, old, first, old + 1, old + 1, cpu) {
            Ok(Ok(())) => return,
            Ok(Err(_)) => {}
            Err(error) => panic!("{error}"),
        }
    };
    let (forks, stop) = (AtomicUsize::new(0), AtomicBool::new(false));

    thread::scope(|scope| {
        for number in 0..4 {
            let (pairs, stop) = (&pairs, &stop);
            scope.spawn(move || {
                let mut random = Random(number);
                while !stop.load(Relaxed) {
                    let (cpu, pair) = pairs.current();
                    count(cpu, pair);
                    if number == 0 {
                        let cpu = random.below(nr_cpus());
                        count(cpu, pairs.get(cpu).unwrap());
                    }
                }
            });
        }
        let start = Instant::now();
        while start.elapsed() < LOAD || forks.load(Relaxed) < 20 {
            let status = fork(|| {
                for (cpu, pair) in pairs.iter() {
                    let ahead = pair
                        .0
                         .0
                        .load(Relaxed)
                        .wrapping_sub(pair.1 .0.load(Relaxed));
                    if ahead > 1 {
                        return 1;
                    }
                    let before = pair.1 .0.load(Relaxed);
                    count(cpu, pair);
                    if pair.1 .0.load(Relaxed) != before + 1 {
                        return 2;
                    }
                }
                0
            });
            if status != 0 {
                stop.store(true, Relaxed);
            }
            assert_eq!(status, 0);
            forks.fetch_add(1, Relaxed);
        }
        stop.store(true, Relaxed);
    });
    println!("{} forks", forks.into_inner());
}

static HANDLED: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static HANDLER_CPU: AtomicI32 = AtomicI32::new(0);

extern "C" fn handler(_: c_int) {
    let cpu = current_cpu();

    Ops::private()
        .add(&HANDLED[0], 1, HANDLER_CPU.load(Relaxed))
        .unwrap();
    Ops::private().add(&HANDLED[1], 1, cpu.max(0)).unwrap();
}

/// A signal handler gets through wherever it interrupts an operation, and takes nothing from it.
/// The words are for one CPU, whichever one that is.
#[test]
fn signal_handlers_can_use_it() {
    let _alone = alone();
    thread::spawn(|| {
        let Some((here, there)) = here_and_there() else {
            return;
        };
        let (words, signals) = ([const { AtomicUsize::new(0) }; 2], AtomicUsize::new(0));
        let (stop, ops) = (AtomicBool::new(false), Ops::private());
        let mut done = 0;

        HANDLER_CPU.store(there, Relaxed);
        // SAFETY: The handler does what a handler may do, and the thread is there.
        let target = unsafe {
            libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t);
            libc::pthread_self()
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let before = HANDLED[1].load(Relaxed);
                    // SAFETY: As above.
                    assert_eq!(unsafe { libc::pthread_kill(target, libc::SIGUSR1) }, 0);
                    signals.fetch_add(1, Relaxed);
                    let start = Instant::now();
                    while HANDLED[1].load(Relaxed) == before {
                        assert!(start.elapsed() < Duration::from_secs(60), "stuck");
                        std::hint::spin_loop();
                    }
                }
            });
            let start = Instant::now();
            while start.elapsed() < LOAD || signals.load(Relaxed) < 100 {
                ops.add(&words[0], 1, here).unwrap();
                ops.add(&words[1], 1, there).unwrap();
                done += 1;
            }
            stop.store(true, Relaxed);
        });
        println!("{done} operations, {signals:?} signals");
        assert_eq!(words.map(AtomicUsize::into_inner), [done; 2]);
        assert_eq!(HANDLED[0].load(Relaxed), signals.load(Relaxed));
        assert_eq!(HANDLED[1].load(Relaxed), signals.load(Relaxed));
    })
    .join()
    .unwrap();
}

/// Where the C library does not register areas, the library does, for every thread. What says so is
/// that the process still does its own CPU's operations by sequences.
#[test]
fn without_the_registration_of_the_c_library() {
    let _alone = alone();
    let tests = [
        "tiers_are_those_asked_for",
        "own_cpu_is_done_by_sequences",
        "counters_lose_nothing",
        "signal_handlers_can_use_it",
        "forks_see_whole_operations",
        "threads_that_end",
    ];

    again(&tests, |command| {
        command.env("GLIBC_TUNABLES", "glibc.pthread.rseq=0");
    });
}

/// The record of a thread that has ended goes to another, also its area.
#[test]
fn threads_that_end() {
    let _alone = alone();
    let counter = Counter::new();

    for _ in 0..50 {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    counter.add(1).unwrap();
                    let cpu = nr_cpus() - 1;
                    Ops::private().add(&AtomicUsize::new(0), 1, cpu).unwrap();
                });
            }
        });
    }
    assert_eq!(counter.sum(), 400);
}

/// While a debugger steps through a thread every sequence is aborted, and operations still get done.
#[test]
#[cfg(target_arch = "x86_64")]
fn single_steps_make_progress() {
    let _alone = alone();
    // SAFETY: It maps new memory, zeroes are counters, and the child does what is allowed after a
    // fork.
    unsafe {
        let len = 4096;
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        let memory = libc::mmap(
            std::ptr::null_mut(),
            len,
            access,
            flags | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(memory, libc::MAP_FAILED);
        let [done, added] = &*memory.cast::<[AtomicUsize; 2]>();

        let pid = libc::fork();
        if pid == 0 {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
            loop {
                if Ops::private().add(added, 1, current_cpu()).is_err() {
                    libc::_exit(1);
                }
                done.fetch_add(1, Relaxed);
            }
        }
        let (mut status, mut steps) = (0, 0);
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        while done.load(Relaxed) < 3 && steps < 20_000 {
            assert_eq!(libc::ptrace(libc::PTRACE_SINGLESTEP, pid, 0, 0), 0);
            assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
            assert!(libc::WIFSTOPPED(status), "{status:#x}");
            steps += 1;
        }
        println!("{steps} steps, {done:?} operations");
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, &mut status, 0);
        assert_eq!((done.load(Relaxed), added.load(Relaxed)), (3, 3));
        libc::munmap(memory, len);
    }
}

/// Data that processes share need cpu_opv(), and the library says so where it is not there.
#[test]
fn processes_share_data() {
    let _alone = alone();
    let ops = match Ops::shared() {
        Err(error) => {
            assert!(!tiers().cpu_opv);
            assert_eq!(error, Error::Unsupported);
            return;
        }
        Ok(ops) => ops,
    };
    assert!(tiers().cpu_opv);
    // SAFETY: It maps new memory, and zeroes are counters.
    let words = unsafe {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        let memory = libc::mmap(
            std::ptr::null_mut(),
            4096,
            access,
            flags | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(memory, libc::MAP_FAILED);
        std::slice::from_raw_parts(memory.cast::<AtomicUsize>(), 512)
    };
    const ROUNDS: usize = 2000;
    let work = || {
        let mut random = Random(std::process::id());
        for _ in 0..ROUNDS {
            let cpu = current_cpu();
            ops.add(&words[cpu as usize], 1, cpu).unwrap();
            let cpu = random.below(nr_cpus());
            ops.fetch_add(&words[cpu as usize], 1, cpu).unwrap();
        }
        0
    };

    assert!(nr_cpus() <= 512);
    thread::scope(|scope| {
        scope.spawn(work);
        assert_eq!(fork(work), 0);
    });
    assert_eq!(
        words.iter().map(|word| word.load(Relaxed)).sum::<usize>(),
        4 * ROUNDS
    );
}
