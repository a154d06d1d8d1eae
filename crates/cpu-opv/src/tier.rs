// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which way an operation takes.
//!
//! There are three, and each operation has a form for each:
//!
//! 1. a *restartable sequence*, if the thread is on the CPU;
//! 2. a *vector*, run by `cpu_opv()` on the CPU;
//! 3. the *lock*, under which nothing else works on per-CPU data of the process.
//!
//! What there is decides, when the process comes here first. If the kernel has cpu_opv(), the
//! sequences fall back on vectors, otherwise on the lock. A sequence is also given up when it was
//! aborted a few times in a row, as all are while a debugger steps through the thread.
//!
//! # Why it is sound to mix them
//!
//! Let an operation be for CPU `c`. Two sequences for `c`, or a sequence and a vector, exclude each
//! other because both run on `c`: one of them can only come in between by preempting the other, and
//! then the kernel aborts the sequence. A vector runs with preemption disabled. If `c` is offline no
//! sequence runs there, and the kernel runs one vector at a time.
//!
//! The lock is for what can run on `c` neither way: on a kernel without cpu_opv(), and where the
//! thread may not run on `c` because of its affinity or its cpuset. Its holder closes a *gate*,
//! which is one word of the process:
//!
//! ```text
//! block signals                             begin                block signals
//! lock                                      CPU other: give up   calling = 1
//! gate = 1                                  gate != 0: give up   full barrier
//! membarrier(PRIVATE_EXPEDITED_RSEQ)        the operation        gate != 0: give up
//! wait until no thread is calling           commit               cpu_opv()
//! the operation                                                  calling = 0 (release)
//! gate = 0 (release)                                             unblock signals
//! unlock, unblock signals
//! ```
//!
//! - A sequence that began before the membarrier: if it had got to its commit the store is visible
//!   after the membarrier, which is a full barrier on each CPU that runs a thread of the process.
//!   Otherwise it is aborted: membarrier does that to the sequences that are running, and the
//!   others were preempted and are aborted when they go on. So none of its later instructions
//!   runs, neither its commit nor a load through a pointer that the holder has taken away.
//! - A sequence that begins after the membarrier on its CPU: it loads the gate inside, so it sees
//!   that it is closed, and gives up before it loads or stores anything else.
//! - A sequence that finds the gate open again has loaded it with acquire semantics, and sees all
//!   that the holder has stored.
//! - A vector: by the full barriers of both either its thread sees the closed gate and makes no
//!   call, or the holder sees that it is calling and waits. The holder then sees what the vector
//!   has stored.
//! - Two holders: the lock is one of the process.
//! - A signal handler: signals are blocked while a thread holds the lock or is calling, so that no
//!   handler waits for the thread that it interrupts. Signals that a fault raises are not blocked;
//!   their handlers must not come here if the fault is in an operand.
//! - A fork copies the memory page by page while other threads run, which would tear an operation
//!   apart whose stores are in two pages. So the gate is closed meanwhile, and the child finds all
//!   data as they are between two operations, or as an aborted sequence has left them: with what it
//!   stores before its commit, which does not count without that. Where membarrier() is refused no
//!   closed gate stops the sequences, so it stays open, and the child may find an operation in part.
//!
//! All that is about the threads of one process. Sequences of another process do not look at this
//! gate, and no membarrier reaches them. So data that processes share are worked on by sequences
//! and vectors alone, and that needs cpu_opv(): see [`Ops::shared`](crate::Ops::shared).

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicI32, AtomicIsize, AtomicU32, AtomicUsize, Ordering};
use std::sync::Once;

use crate::error::Error;
use crate::gate;
use crate::rseq::{self, Area, Attempt};
use crate::thread::Thread;
use crate::vector;

/// How often a sequence is tried before it is given up.
const ATTEMPTS: usize = 4;

/// The environment variable that limits the tiers: a list of `rseq`, `cpu_opv` and `lock`.
const TIERS: &core::ffi::CStr = c"CPU_OPV_TIERS";

// The bits of `Process::mode`.
const READY: u32 = 1 << 0;
const SEQUENCES: u32 = 1 << 1;
/// The areas are registered by this library.
const OWN_AREAS: u32 = 1 << 2;
const VECTORS: u32 = 1 << 3;
/// membarrier() fences sequences.
const FENCE: u32 = 1 << 4;
/// There are no sequences because nothing fences them.
const UNFENCED: u32 = 1 << 5;

/// What all threads read and hardly ever write.
#[repr(align(128))]
struct Process {
    gate: AtomicU32,
    mode: AtomicU32,
    /// Of the areas that the C library has registered, from the thread pointer.
    area_offset: AtomicIsize,
    /// One more than the key by which a thread finds its record, zero if there is none.
    key: AtomicU32,
    /// One more than the highest number of a possible CPU.
    nr_cpus: AtomicI32,
}

static PROCESS: Process = Process {
    gate: AtomicU32::new(0),
    mode: AtomicU32::new(0),
    area_offset: AtomicIsize::new(0),
    key: AtomicU32::new(0),
    nr_cpus: AtomicI32::new(0),
};

/// How often the slower ways were taken.
static VECTOR_COUNT: AtomicUsize = AtomicUsize::new(0);
static LOCK_COUNT: AtomicUsize = AtomicUsize::new(0);
static ABORT_COUNT: AtomicUsize = AtomicUsize::new(0);

/// What the operations of this process use.
///
/// # Examples
///
/// ```
/// let cpu_opv::Tiers { rseq, cpu_opv, .. } = cpu_opv::tiers();
/// println!("{}, {}", if rseq { "sequences" } else { "no sequences" }, if cpu_opv { "the call" } else { "the lock" });
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Tiers {
    /// Restartable sequences, on the thread's own CPU.
    pub rseq: bool,
    /// cpu_opv(), for what a sequence does not do. Without it that is the lock's.
    pub cpu_opv: bool,
}

/// Returns what the operations of this process use.
///
/// It is decided once in a process. For tests the environment variable `CPU_OPV_TIERS` limits it to
/// a list of `rseq`, `cpu_opv` and `lock` (which is always there).
///
/// # Examples
///
/// ```
/// let tiers = cpu_opv::tiers();
/// println!("sequences: {}, cpu_opv(): {}", tiers.rseq, tiers.cpu_opv);
/// ```
pub fn tiers() -> Tiers {
    let mode = mode();

    Tiers {
        rseq: mode & SEQUENCES != 0,
        cpu_opv: mode & VECTORS != 0,
    }
}

/// Finds out what the operations of this process use, and returns it.
///
/// The first operation does that as well. A program calls this to hear at its start that its
/// operations will be slow, and why.
///
/// # Errors
///
/// [`Error::Unfenced`] where there could be sequences, but nothing in the kernel (or what a filter
/// of system calls leaves of it) keeps them away from an operation for another CPU. So the library
/// begins none. Operations are done all the same, and safely: each takes the lock.
///
/// # Examples
///
/// ```
/// match cpu_opv::start() {
///     Ok(tiers) => println!("{tiers:?}"),
///     Err(error) => eprintln!("per-CPU operations are slow here: {error}"),
/// }
/// ```
pub fn start() -> Result<Tiers, Error> {
    if mode() & UNFENCED != 0 {
        return Err(Error::Unfenced);
    }
    Ok(tiers())
}

/// How often operations have taken the slower ways. All others were done by one sequence.
///
/// # Examples
///
/// ```
/// let cpu_opv::Counts { vectors, locked, aborts, .. } = cpu_opv::counts();
/// println!("{vectors} vectors, {locked} times the lock, {aborts} sequences aborted");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Vectors that were run by cpu_opv().
    pub vectors: usize,
    /// Operations that were done under the lock.
    pub locked: usize,
    /// Sequences that were begun on the CPU and did not get to their end.
    pub aborts: usize,
}

/// Returns how often operations of this process have taken the slower ways.
///
/// # Examples
///
/// ```
/// let before = cpu_opv::counts();
/// cpu_opv::Counter::new().add(1)?;
/// let after = cpu_opv::counts();
/// assert!(after.vectors + after.locked <= before.vectors + before.locked + 1);
/// # Ok::<(), cpu_opv::Error>(())
/// ```
pub fn counts() -> Counts {
    Counts {
        vectors: VECTOR_COUNT.load(Ordering::Relaxed),
        locked: LOCK_COUNT.load(Ordering::Relaxed),
        aborts: ABORT_COUNT.load(Ordering::Relaxed),
    }
}

/// Returns one more than the highest number that a CPU can have.
///
/// # Examples
///
/// ```
/// assert!(cpu_opv::current_cpu() < cpu_opv::nr_cpus());
/// ```
pub fn nr_cpus() -> c_int {
    mode();
    PROCESS.nr_cpus.load(Ordering::Relaxed)
}

/// Returns the number of the CPU that the thread runs on. It may run on another one by now.
///
/// # Examples
///
/// ```
/// assert!(cpu_opv::current_cpu() >= 0);
/// ```
pub fn current_cpu() -> c_int {
    if let Some(area) = area(mode()) {
        // SAFETY: The area is the thread's own.
        let cpu = unsafe { (*area).cpu() };

        if cpu >= 0 {
            return cpu;
        }
    }
    // SAFETY: It has no arguments. It fails on no kernel that has rseq or membarrier.
    unsafe { libc::sched_getcpu() }.max(0)
}

/// One operation in each of its forms.
pub(crate) trait Operation {
    /// Does it by a sequence.
    ///
    /// # Safety
    ///
    /// `area` is the thread's own. The operands are valid.
    unsafe fn sequence(&self, area: *mut Area, cpu: c_int, gate: *const u32) -> Attempt;

    /// Does it by cpu_opv().
    ///
    /// # Safety
    ///
    /// The operands are valid.
    unsafe fn vector(&self, cpu: c_int) -> Result<Attempt, Error>;

    /// Does it, while nothing else works on the data.
    ///
    /// # Safety
    ///
    /// The operands are valid, and no sequence and no vector works on them.
    unsafe fn locked(&self) -> Attempt;
}

/// Does an operation for a CPU. `shared` is whether other processes may work on the data.
///
/// Returns what [`Attempt::Done`] or [`Attempt::Stopped`] has.
///
/// # Safety
///
/// The operands are valid.
#[inline]
pub(crate) unsafe fn perform(
    operation: &impl Operation,
    cpu: c_int,
    shared: bool,
) -> Result<Result<u64, usize>, Error> {
    let mode = mode();

    if let Some(area) = area(mode) {
        for _ in 0..ATTEMPTS {
            // SAFETY: The area is the thread's own.
            if unsafe { (*area).cpu() } != cpu {
                break;
            }
            // SAFETY: As above, and the caller vouches for the operands.
            match unsafe { operation.sequence(area, cpu, PROCESS.gate.as_ptr()) } {
                Attempt::Done(old) => return Ok(Ok(old)),
                Attempt::Stopped(at) => return Ok(Err(at)),
                Attempt::Aborted => ABORT_COUNT.fetch_add(1, Ordering::Relaxed),
            };
        }
    }
    // SAFETY: The caller vouches for the operands.
    match unsafe { fall_back(operation, cpu, shared, mode) }? {
        Attempt::Done(old) => Ok(Ok(old)),
        Attempt::Stopped(at) => Ok(Err(at)),
        Attempt::Aborted => Err(Error::Busy),
    }
}

/// As [`perform`], once the sequences have been given up.
#[cold]
unsafe fn fall_back(
    operation: &impl Operation,
    cpu: c_int,
    shared: bool,
    mode: u32,
) -> Result<Attempt, Error> {
    if !(0..PROCESS.nr_cpus.load(Ordering::Relaxed)).contains(&cpu) {
        return Err(Error::Cpu);
    }
    if shared {
        // SAFETY: The caller vouches for the operands.
        return unsafe { count_vector(operation, cpu) };
    }
    let reason = match thread(mode & OWN_AREAS != 0) {
        Some(thread) if mode & VECTORS != 0 => {
            // SAFETY: The caller vouches for the operands.
            match unsafe { call(operation, cpu, thread) } {
                Err(error @ (Error::Fault | Error::Again)) => return Err(error),
                // What a vector does not do, such as one for a CPU that the thread may not use,
                // is the lock's.
                Err(error) => error,
                done => return done,
            }
        }
        _ => Error::NoMemory,
    };
    if !has_lock(mode) {
        return Err(reason);
    }
    let _gate = Gate::close(mode)?;

    LOCK_COUNT.fetch_add(1, Ordering::Relaxed);
    // SAFETY: The caller vouches for the operands, and the gate is closed.
    Ok(unsafe { operation.locked() })
}

/// Whether the lock keeps sequences away, or there are none.
fn has_lock(mode: u32) -> bool {
    mode & SEQUENCES == 0 || mode & FENCE != 0
}

/// Runs a vector unless the gate is closed.
///
/// # Safety
///
/// The operands are valid.
unsafe fn call(operation: &impl Operation, cpu: c_int, thread: &Thread) -> Result<Attempt, Error> {
    let _signals = BlockedSignals::new();

    let result = if gate::enter(&PROCESS.gate, thread.calling()) {
        // SAFETY: The caller vouches for the operands.
        unsafe { count_vector(operation, cpu) }
    } else {
        Err(Error::Busy)
    };
    gate::leave(thread.calling());
    result
}

/// # Safety
///
/// The operands are valid.
unsafe fn count_vector(operation: &impl Operation, cpu: c_int) -> Result<Attempt, Error> {
    VECTOR_COUNT.fetch_add(1, Ordering::Relaxed);
    // SAFETY: The caller vouches for the operands.
    unsafe { operation.vector(cpu) }
}

/// Returns the area of the calling thread, if it has one.
#[inline]
fn area(mode: u32) -> Option<*mut Area> {
    if mode & SEQUENCES == 0 {
        return None;
    }
    if mode & OWN_AREAS == 0 {
        return Some(rseq::area_at(PROCESS.area_offset.load(Ordering::Relaxed)));
    }
    thread(true).map(Thread::area)
}

/// Returns the record of the calling thread, if it has one or there is memory for it.
fn thread(sequences: bool) -> Option<&'static Thread> {
    match PROCESS.key.load(Ordering::Relaxed) {
        0 => None,
        key => Thread::current(key - 1, sequences),
    }
}

/// Returns what there is, and finds out first if need be.
#[inline]
fn mode() -> u32 {
    // ORDERING: Pairs with the store in `find_out()`: who sees the mode sees the rest.
    match PROCESS.mode.load(Ordering::Acquire) {
        0 => find_out(),
        mode => mode,
    }
}

#[cold]
fn find_out() -> u32 {
    static ONCE: Once = Once::new();
    // A handler would wait for the thread that it interrupts.
    let _signals = BlockedSignals::new();

    ONCE.call_once(|| {
        let mut mode = READY;

        PROCESS.nr_cpus.store(possible_cpus(), Ordering::Relaxed);
        if allowed("cpu_opv") && vector::is_available() {
            mode |= VECTORS;
        }
        if membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) {
            mode |= FENCE;
        }
        if let Some(key) = crate::thread::create_key() {
            PROCESS.key.store(key + 1, Ordering::Relaxed);
        }
        if !rseq::SUPPORTED || !allowed("rseq") {
            // There are none.
        } else if mode & (VECTORS | FENCE) == 0 {
            // Where nothing excludes sequences there must be none.
            mode |= UNFENCED;
        } else {
            mode |= match rseq::registered_by_libc() {
                Some(offset) => {
                    PROCESS.area_offset.store(offset, Ordering::Relaxed);
                    SEQUENCES
                }
                None if can_register() => SEQUENCES | OWN_AREAS,
                None => 0,
            };
        }
        LOCK.init();
        // SAFETY: The handlers may be called at any time from now on.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child)) };
        PROCESS.mode.store(mode, Ordering::Release);
    });
    PROCESS.mode.load(Ordering::Acquire)
}

/// Returns whether the environment lets a tier be used.
fn allowed(tier: &str) -> bool {
    unsafe extern "C" {
        fn secure_getenv(name: *const c_char) -> *const c_char;
    }
    // SAFETY: The name is a string.
    let list = unsafe { secure_getenv(TIERS.as_ptr()) };

    if list.is_null() {
        return true;
    }
    // SAFETY: The value is a string.
    let list = unsafe { core::ffi::CStr::from_ptr(list) }.to_bytes();

    list.split(|byte| matches!(byte, b' ' | b',' | b'+'))
        .any(|word| word == tier.as_bytes())
}

/// Returns whether this thread can register an area of this library's: the kernel has rseq, and
/// neither the C library nor another one has come first.
fn can_register() -> bool {
    thread(true).is_some_and(|thread| {
        // SAFETY: The area is the thread's own.
        unsafe { (*thread.area()).cpu() >= 0 }
    })
}

/// Returns one more than the highest number of a possible CPU.
fn possible_cpus() -> c_int {
    let mut buffer = [0u8; 256];
    let path = c"/sys/devices/system/cpu/possible";
    // SAFETY: The path is a string.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };

    if file >= 0 {
        // SAFETY: The buffer has room for that much.
        let len = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
        // SAFETY: The file is this function's own.
        unsafe { libc::close(file) };
        // The list is in order, so the highest number is the last.
        let last = buffer[..len.max(0) as usize]
            .split(|byte| !byte.is_ascii_digit())
            .rfind(|digits| !digits.is_empty());
        let number = last.and_then(|digits| core::str::from_utf8(digits).ok()?.parse().ok());
        if let Some(number) = number {
            let number: c_int = number;
            return number.saturating_add(1);
        }
    }
    // SAFETY: It has no memory operands.
    let configured = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    configured.clamp(1, c_int::MAX as libc::c_long) as c_int
}

fn membarrier(command: c_int) -> bool {
    // SAFETY: It has no memory operands.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// The closed gate.
struct Gate {
    held: Option<Held>,
    _signals: BlockedSignals,
}

impl Gate {
    fn close(mode: u32) -> Result<Self, Error> {
        let signals = BlockedSignals::new();
        let gate = Gate {
            held: Some(LOCK.lock()),
            _signals: signals,
        };

        if mode & (SEQUENCES | VECTORS) == 0 {
            return Ok(gate);
        }
        let calls = || Thread::all_calling().filter(|_| mode & VECTORS != 0);
        gate::close(&PROCESS.gate, || fence_sequences(mode), calls, pause)?;
        Ok(gate)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        gate::open(&PROCESS.gate);
    }
}

/// Aborts the sequences that are on their way.
fn fence_sequences(mode: u32) -> Result<(), Error> {
    // A child of a fork may have to register again.
    if mode & SEQUENCES == 0
        || membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ)
        || (membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ)
            && membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ))
    {
        return Ok(());
    }
    Err(Error::last())
}

/// The lock of the process. It passes on the priority of who waits for it.
struct Lock(UnsafeCell<MaybeUninit<libc::pthread_mutex_t>>);

// SAFETY: It is a mutex.
unsafe impl Sync for Lock {}

static LOCK: Lock = Lock(UnsafeCell::new(MaybeUninit::uninit()));

/// The lock is held until this is dropped.
#[must_use = "the lock is released when it is dropped"]
struct Held;

impl Lock {
    fn mutex(&self) -> *mut libc::pthread_mutex_t {
        self.0.get().cast()
    }

    /// Makes it a lock that nobody holds.
    fn init(&self) {
        let mut attributes = MaybeUninit::uninit();

        // SAFETY: The attributes are initialised by the first call. Nobody has the mutex yet, or
        // who had it is not in this process.
        unsafe {
            libc::pthread_mutexattr_init(attributes.as_mut_ptr());
            libc::pthread_mutexattr_setprotocol(
                attributes.as_mut_ptr(),
                libc::PTHREAD_PRIO_INHERIT,
            );
            if libc::pthread_mutex_init(self.mutex(), attributes.as_ptr()) != 0 {
                libc::pthread_mutex_init(self.mutex(), core::ptr::null());
            }
            libc::pthread_mutexattr_destroy(attributes.as_mut_ptr());
        }
    }

    fn lock(&self) -> Held {
        // SAFETY: `find_out()` has initialised it. Signals are blocked, so the thread does not have it.
        unsafe { libc::pthread_mutex_lock(self.mutex()) };
        Held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: The thread holds it.
        unsafe { libc::pthread_mutex_unlock(LOCK.mutex()) };
    }
}

/// Signals are blocked until this is dropped, except those that a fault of the thread itself raises.
pub(crate) struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    pub(crate) fn new() -> Self {
        let mut before = MaybeUninit::uninit();
        let mut blocked = MaybeUninit::uninit();

        // SAFETY: The first call initialises one set, the last the other.
        unsafe {
            libc::sigfillset(blocked.as_mut_ptr());
            for signal in [
                libc::SIGBUS,
                libc::SIGFPE,
                libc::SIGILL,
                libc::SIGSEGV,
                libc::SIGTRAP,
            ] {
                libc::sigdelset(blocked.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, blocked.as_ptr(), before.as_mut_ptr());
            BlockedSignals {
                before: before.assume_init(),
            }
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: It is the set that was there before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, core::ptr::null_mut()) };
    }
}

/// The gate that is closed during a fork.
struct Forking(UnsafeCell<Option<Gate>>);

// SAFETY: Who holds the lock has it.
unsafe impl Sync for Forking {}

static FORKING: Forking = Forking(UnsafeCell::new(None));

unsafe extern "C" fn before_fork() {
    let mode = PROCESS.mode.load(Ordering::Acquire);

    // A gate that does not stop the sequences would only make vectors fail.
    if !has_lock(mode) {
        return;
    }
    if let Ok(gate) = Gate::close(mode) {
        // SAFETY: The lock is held.
        unsafe { *FORKING.0.get() = Some(gate) };
    }
}

unsafe extern "C" fn after_fork() {
    // SAFETY: If there is a gate, this thread has closed it, in `before_fork()`.
    drop(unsafe { (*FORKING.0.get()).take() });
}

unsafe extern "C" fn in_child() {
    // SAFETY: The child has this thread alone.
    let gate = unsafe { (*FORKING.0.get()).take() };

    Thread::forked(thread(false));
    // Who has the lock is a thread of another process, or this one by another number.
    LOCK.init();
    gate::open(&PROCESS.gate);
    if let Some(mut gate) = gate {
        core::mem::forget(gate.held.take());
    }
}

/// Lets other threads run, those of a lower priority too.
pub(crate) fn pause() {
    let moment = libc::timespec {
        tv_sec: 0,
        tv_nsec: 20_000,
    };

    // SAFETY: The interval is read only.
    unsafe { libc::nanosleep(&moment, core::ptr::null_mut()) };
}
