// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The per-CPU operations, each in its three forms.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{fence, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use crate::error::Error;
use crate::rseq::{self, by_width, Area, Attempt};
use crate::sys::{self, cpu_op};
use crate::tier::{perform, tiers, Operation};
use crate::word::{address, Integer, PerCpuWord};

#[cfg(target_pointer_width = "64")]
use core::sync::atomic::AtomicU64;

// ---- The memory operations of a thread that is alone with the data --------------------------

/// # Safety
///
/// `v` points to an aligned word of `BYTES` bytes.
unsafe fn load<const BYTES: usize>(v: *const u8) -> u64 {
    // SAFETY: As the caller vouches.
    unsafe {
        match BYTES {
            #[cfg(target_pointer_width = "64")]
            8 => (*v.cast::<AtomicU64>()).load(Ordering::Relaxed),
            _ => (*v.cast::<AtomicU32>()).load(Ordering::Relaxed).into(),
        }
    }
}

/// # Safety
///
/// As for [`load`].
unsafe fn store<const BYTES: usize>(v: *mut u8, value: u64, ordering: Ordering) {
    // SAFETY: As the caller vouches.
    unsafe {
        match BYTES {
            #[cfg(target_pointer_width = "64")]
            8 => (*v.cast::<AtomicU64>()).store(value, ordering),
            _ => (*v.cast::<AtomicU32>()).store(value as u32, ordering),
        }
    }
}

/// # Safety
///
/// As for [`load`].
unsafe fn equals<const BYTES: usize>(v: *const u8, value: u64) -> bool {
    let mask = u64::MAX >> (64 - 8 * BYTES);

    // SAFETY: As the caller vouches.
    unsafe { load::<BYTES>(v) == value & mask }
}

/// A value where a vector finds it, or leaves it: the kernel writes to it behind a shared reference.
struct Value(UnsafeCell<[u8; 8]>);

impl Value {
    fn new<const BYTES: usize>(value: u64) -> Self {
        let mut bytes = [0; 8];

        match BYTES {
            8 => bytes = value.to_ne_bytes(),
            _ => bytes[..4].copy_from_slice(&(value as u32).to_ne_bytes()),
        }
        Value(UnsafeCell::new(bytes))
    }

    fn as_ptr(&self) -> *const u8 {
        self.0.get().cast_const().cast()
    }

    fn get<const BYTES: usize>(&self) -> u64 {
        // SAFETY: No vector that knows of it runs.
        match (BYTES, unsafe { *self.0.get() }) {
            (8, bytes) => u64::from_ne_bytes(bytes),
            (_, [a, b, c, d, ..]) => u32::from_ne_bytes([a, b, c, d]).into(),
        }
    }
}

fn compare<const BYTES: usize>(v: *const u8, value: &Value) -> cpu_op {
    cpu_op::compare(
        sys::CPU_COMPARE_EQ_OP,
        address(v),
        address(value.as_ptr()),
        BYTES,
    )
}

fn copy(op: i32, dst: *const u8, src: *const u8, len: usize) -> cpu_op {
    cpu_op::memcpy(op, address(dst), address(src), len)
}

fn set<const BYTES: usize>(v: *const u8, value: &Value, release: bool) -> cpu_op {
    let op = if release {
        sys::CPU_MEMCPY_RELEASE_OP
    } else {
        sys::CPU_MEMCPY_OP
    };

    copy(op, v, value.as_ptr(), BYTES)
}

/// # Safety
///
/// The operands are valid.
unsafe fn call(vec: &[cpu_op], cpu: c_int, old: impl FnOnce() -> u64) -> Result<Attempt, Error> {
    // SAFETY: As the caller vouches.
    match unsafe { sys::call(vec, cpu) }? {
        0 => Ok(Attempt::Done(old())),
        stopped => Ok(Attempt::Stopped(stopped - 1)),
    }
}

/// How the last store of an operation is ordered after what comes before it.
fn ordering(release: bool) -> Ordering {
    if release {
        Ordering::Release
    } else {
        Ordering::Relaxed
    }
}

// ---- The operations ---------------------------------------------------------------------------

/// `*v += count`
pub(crate) struct Add<const BYTES: usize> {
    pub(crate) v: *mut u8,
    pub(crate) count: u64,
    pub(crate) release: bool,
}

impl<const BYTES: usize> Operation for Add<BYTES> {
    unsafe fn sequence(&self, area: *mut Area, cpu: c_int, gate: *const u32) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe { by_width!(BYTES, add(area, cpu, gate, self.v, self.count)) }
    }

    unsafe fn vector(&self, cpu: c_int) -> Result<Attempt, Error> {
        let op = if self.release {
            sys::CPU_ADD_RELEASE_OP
        } else {
            sys::CPU_ADD_OP
        };
        let vec = [cpu_op::arithmetic(
            op,
            address(self.v),
            self.count as i64,
            BYTES,
        )];

        // SAFETY: As the caller vouches.
        unsafe { call(&vec, cpu, || 0) }
    }

    unsafe fn locked(&self) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe {
            let old = load::<BYTES>(self.v);
            store::<BYTES>(self.v, old.wrapping_add(self.count), ordering(self.release));
        }
        Attempt::Done(0)
    }
}

/// `old = *v; *v += count`
pub(crate) struct FetchAdd<const BYTES: usize> {
    pub(crate) v: *mut u8,
    pub(crate) count: u64,
}

impl<const BYTES: usize> Operation for FetchAdd<BYTES> {
    unsafe fn sequence(&self, area: *mut Area, cpu: c_int, gate: *const u32) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe { by_width!(BYTES, fetch_add(area, cpu, gate, self.v, self.count)) }
    }

    unsafe fn vector(&self, cpu: c_int) -> Result<Attempt, Error> {
        let old = Value::new::<BYTES>(0);
        let vec = [
            copy(sys::CPU_MEMCPY_OP, old.as_ptr(), self.v, BYTES),
            cpu_op::arithmetic(
                sys::CPU_ADD_RELEASE_OP,
                address(self.v),
                self.count as i64,
                BYTES,
            ),
        ];

        // SAFETY: As the caller vouches.
        unsafe { call(&vec, cpu, || old.get::<BYTES>()) }
    }

    unsafe fn locked(&self) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe {
            let old = load::<BYTES>(self.v);
            store::<BYTES>(self.v, old.wrapping_add(self.count), Ordering::Release);
            Attempt::Done(old)
        }
    }
}

/// `old = *v; *v = new`
pub(crate) struct Swap<const BYTES: usize> {
    pub(crate) v: *mut u8,
    pub(crate) new: u64,
}

impl<const BYTES: usize> Operation for Swap<BYTES> {
    unsafe fn sequence(&self, area: *mut Area, cpu: c_int, gate: *const u32) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe { by_width!(BYTES, swap(area, cpu, gate, self.v, self.new)) }
    }

    unsafe fn vector(&self, cpu: c_int) -> Result<Attempt, Error> {
        let old = Value::new::<BYTES>(0);
        let new = Value::new::<BYTES>(self.new);
        let vec = [
            copy(sys::CPU_MEMCPY_OP, old.as_ptr(), self.v, BYTES),
            set::<BYTES>(self.v, &new, true),
        ];

        // SAFETY: As the caller vouches.
        unsafe { call(&vec, cpu, || old.get::<BYTES>()) }
    }

    unsafe fn locked(&self) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe {
            let old = load::<BYTES>(self.v);
            store::<BYTES>(self.v, self.new, Ordering::Release);
            Attempt::Done(old)
        }
    }
}

/// `if (*v != expect) stop; *v = new`
pub(crate) struct CompareStore<const BYTES: usize> {
    pub(crate) v: *mut u8,
    pub(crate) expect: u64,
    pub(crate) new: u64,
    pub(crate) release: bool,
}

impl<const BYTES: usize> Operation for CompareStore<BYTES> {
    unsafe fn sequence(&self, area: *mut Area, cpu: c_int, gate: *const u32) -> Attempt {
        let (v, expect, new) = (self.v, self.expect, self.new);

        // SAFETY: As the caller vouches.
        unsafe { by_width!(BYTES, compare_store(area, cpu, gate, v, expect, new)) }
    }

    unsafe fn vector(&self, cpu: c_int) -> Result<Attempt, Error> {
        let expect = Value::new::<BYTES>(self.expect);
        let new = Value::new::<BYTES>(self.new);
        let vec = [
            compare::<BYTES>(self.v, &expect),
            set::<BYTES>(self.v, &new, self.release),
        ];

        // SAFETY: As the caller vouches.
        unsafe { call(&vec, cpu, || 0) }
    }

    unsafe fn locked(&self) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe {
            if !equals::<BYTES>(self.v, self.expect) {
                return Attempt::Stopped(0);
            }
            store::<BYTES>(self.v, self.new, ordering(self.release));
        }
        Attempt::Done(0)
    }
}

/// `if (*v != expect) stop; *v2 = new2; *v = new`
pub(crate) struct CompareStoreStore<const BYTES: usize> {
    pub(crate) v: *mut u8,
    pub(crate) expect: u64,
    pub(crate) v2: *mut u8,
    pub(crate) new2: u64,
    pub(crate) new: u64,
    pub(crate) release: bool,
}

impl<const BYTES: usize> Operation for CompareStoreStore<BYTES> {
    unsafe fn sequence(&self, area: *mut Area, cpu: c_int, gate: *const u32) -> Attempt {
        let (v, expect, v2, new2, new) = (self.v, self.expect, self.v2, self.new2, self.new);

        // SAFETY: As the caller vouches.
        unsafe {
            by_width!(
                BYTES,
                compare_store_store(area, cpu, gate, v, expect, v2, new2, new)
            )
        }
    }

    unsafe fn vector(&self, cpu: c_int) -> Result<Attempt, Error> {
        let expect = Value::new::<BYTES>(self.expect);
        let (new2, new) = (
            Value::new::<BYTES>(self.new2),
            Value::new::<BYTES>(self.new),
        );
        let vec = [
            compare::<BYTES>(self.v, &expect),
            set::<BYTES>(self.v2, &new2, false),
            set::<BYTES>(self.v, &new, self.release),
        ];

        // SAFETY: As the caller vouches.
        unsafe { call(&vec, cpu, || 0) }
    }

    unsafe fn locked(&self) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe {
            if !equals::<BYTES>(self.v, self.expect) {
                return Attempt::Stopped(0);
            }
            store::<BYTES>(self.v2, self.new2, Ordering::Relaxed);
            store::<BYTES>(self.v, self.new, ordering(self.release));
        }
        Attempt::Done(0)
    }
}

/// `if (*v != expect) stop; if (*v2 != expect2) stop; *v = new`
pub(crate) struct CompareCompareStore<const BYTES: usize> {
    pub(crate) v: *mut u8,
    pub(crate) expect: u64,
    pub(crate) v2: *const u8,
    pub(crate) expect2: u64,
    pub(crate) new: u64,
}

impl<const BYTES: usize> Operation for CompareCompareStore<BYTES> {
    unsafe fn sequence(&self, area: *mut Area, cpu: c_int, gate: *const u32) -> Attempt {
        let (v, expect, v2, expect2, new) = (self.v, self.expect, self.v2, self.expect2, self.new);

        // SAFETY: As the caller vouches.
        unsafe {
            by_width!(
                BYTES,
                compare_compare_store(area, cpu, gate, v, expect, v2, expect2, new)
            )
        }
    }

    unsafe fn vector(&self, cpu: c_int) -> Result<Attempt, Error> {
        let expect = Value::new::<BYTES>(self.expect);
        let expect2 = Value::new::<BYTES>(self.expect2);
        let new = Value::new::<BYTES>(self.new);
        let vec = [
            compare::<BYTES>(self.v, &expect),
            compare::<BYTES>(self.v2, &expect2),
            set::<BYTES>(self.v, &new, false),
        ];

        // SAFETY: As the caller vouches.
        unsafe { call(&vec, cpu, || 0) }
    }

    unsafe fn locked(&self) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe {
            if !equals::<BYTES>(self.v, self.expect) {
                return Attempt::Stopped(0);
            }
            if !equals::<BYTES>(self.v2, self.expect2) {
                return Attempt::Stopped(1);
            }
            store::<BYTES>(self.v, self.new, Ordering::Relaxed);
        }
        Attempt::Done(0)
    }
}

/// `if (*v != expect) stop; memcpy(dst, src, len); *v = new`
pub(crate) struct CompareCopyStore<const BYTES: usize> {
    pub(crate) v: *mut u8,
    pub(crate) expect: u64,
    pub(crate) dst: *mut u8,
    pub(crate) src: *const u8,
    pub(crate) len: usize,
    pub(crate) new: u64,
    pub(crate) release: bool,
}

impl<const BYTES: usize> Operation for CompareCopyStore<BYTES> {
    unsafe fn sequence(&self, area: *mut Area, cpu: c_int, gate: *const u32) -> Attempt {
        let (v, expect, new) = (self.v, self.expect, self.new);
        let (dst, src, len) = (self.dst, self.src, self.len);

        // SAFETY: As the caller vouches.
        unsafe {
            by_width!(
                BYTES,
                compare_copy_store(area, cpu, gate, v, expect, dst, src, len, new)
            )
        }
    }

    unsafe fn vector(&self, cpu: c_int) -> Result<Attempt, Error> {
        let expect = Value::new::<BYTES>(self.expect);
        let new = Value::new::<BYTES>(self.new);
        let vec = [
            compare::<BYTES>(self.v, &expect),
            copy(sys::CPU_MEMCPY_OP, self.dst, self.src, self.len),
            set::<BYTES>(self.v, &new, self.release),
        ];

        // SAFETY: As the caller vouches.
        unsafe { call(&vec, cpu, || 0) }
    }

    unsafe fn locked(&self) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe {
            if !equals::<BYTES>(self.v, self.expect) {
                return Attempt::Stopped(0);
            }
            core::ptr::copy(self.src, self.dst, self.len);
            store::<BYTES>(self.v, self.new, ordering(self.release));
        }
        Attempt::Done(0)
    }
}

const POINTER: usize = size_of::<usize>();

/// `node->next = *head; *head = node`
pub(crate) struct Push {
    pub(crate) head: *mut u8,
    pub(crate) next: *mut u8,
    pub(crate) node: u64,
}

impl Operation for Push {
    unsafe fn sequence(&self, area: *mut Area, cpu: c_int, gate: *const u32) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe { rseq::push(area, cpu, gate, self.head, self.next, self.node) }
    }

    unsafe fn vector(&self, cpu: c_int) -> Result<Attempt, Error> {
        let node = Value::new::<POINTER>(self.node);
        let vec = [
            copy(sys::CPU_MEMCPY_OP, self.next, self.head, POINTER),
            set::<POINTER>(self.head, &node, true),
        ];

        // SAFETY: As the caller vouches.
        unsafe { call(&vec, cpu, || 0) }
    }

    unsafe fn locked(&self) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe {
            let first = load::<POINTER>(self.head);
            store::<POINTER>(self.next, first, Ordering::Relaxed);
            store::<POINTER>(self.head, self.node, Ordering::Release);
        }
        Attempt::Done(0)
    }
}

/// `node = *head; if (node == empty) stop; *head = *(node + offset)`
pub(crate) struct Pop {
    pub(crate) head: *mut u8,
    pub(crate) empty: u64,
    pub(crate) offset: isize,
}

impl Pop {
    fn next(&self, node: u64) -> *const u8 {
        let node: *const u8 = core::ptr::with_exposed_provenance(node as usize);

        node.wrapping_offset(self.offset)
    }
}

/// How often the same head is tried whose next element is not accessible.
const INACCESSIBLE: usize = 16;

impl Operation for Pop {
    unsafe fn sequence(&self, area: *mut Area, cpu: c_int, gate: *const u32) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe { rseq::pop(area, cpu, gate, self.head, self.empty, self.offset) }
    }

    unsafe fn vector(&self, cpu: c_int) -> Result<Attempt, Error> {
        let mut inaccessible = 0;

        loop {
            // SAFETY: As the caller vouches.
            let node = unsafe { load::<POINTER>(self.head) };
            let expect = Value::new::<POINTER>(node);
            let next = self.next(node);
            let mut vec = [
                compare::<POINTER>(self.head, &expect),
                copy(sys::CPU_MEMCPY_OP, self.head, next, POINTER),
            ];

            if node == self.empty {
                return Ok(Attempt::Stopped(0));
            }
            // The node may be gone since it was looked up, and its memory with it.
            vec[1].u.memcpy_op.expect_fault_src = 1;
            // SAFETY: As the caller vouches: a node that is still the head is valid.
            match unsafe { sys::call(&vec, cpu) } {
                Ok(0) => return Ok(Attempt::Done(node)),
                Ok(_) => inaccessible = 0,
                Err(Error::Again) if inaccessible < INACCESSIBLE => inaccessible += 1,
                Err(error) => return Err(error),
            }
        }
    }

    unsafe fn locked(&self) -> Attempt {
        // SAFETY: As the caller vouches.
        unsafe {
            let node = load::<POINTER>(self.head);

            if node == self.empty {
                return Attempt::Stopped(0);
            }
            let next = load::<POINTER>(self.next(node));
            store::<POINTER>(self.head, next, Ordering::Relaxed);
            Attempt::Done(node)
        }
    }
}

// ---- The interface for Rust ---------------------------------------------------------------------

/// The link of an element of a list.
///
/// # Examples
///
/// ```
/// use cpu_opv::{Link, List, Ops};
///
/// #[repr(C)]
/// struct Element {
///     link: Link,
///     value: u32,
/// }
///
/// let (list, element) = (List::new(), Element { link: Link::new(), value: 7 });
/// // SAFETY: The element is on no other list and stays while it is on this one, of CPU 0.
/// unsafe { Ops::private().push(&list, (&element.link).into(), 0) }?;
/// let link = Ops::private().pop(&list, 0)?.unwrap();
/// // SAFETY: The link is the first field of an element, which is there.
/// let element = unsafe { link.cast::<Element>().as_ref() };
/// assert_eq!((element.value, element.link.next()), (7, None));
/// # Ok::<(), cpu_opv::Error>(())
/// ```
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Link(AtomicPtr<Link>);

impl Link {
    /// Returns a link of an element that is on no list.
    pub const fn new() -> Self {
        Link(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// Returns the next element, of a list that nobody else has.
    pub fn next(&self) -> Option<NonNull<Link>> {
        NonNull::new(self.0.load(Ordering::Relaxed))
    }
}

/// The head of a list of one CPU.
///
/// # Examples
///
/// ```
/// use cpu_opv::{Link, List, Ops};
///
/// let (list, link) = (List::new(), Link::new());
/// assert!(list.is_empty());
/// // SAFETY: The link is on no other list and stays while it is on this one, of CPU 0.
/// unsafe { Ops::private().push(&list, (&link).into(), 0) }?;
/// assert_eq!(list.first(), Some((&link).into()));
/// # Ok::<(), cpu_opv::Error>(())
/// ```
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct List(AtomicPtr<Link>);

impl List {
    /// Returns an empty list.
    pub const fn new() -> Self {
        List(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// Returns the first element, of a list that nobody else has.
    pub fn first(&self) -> Option<NonNull<Link>> {
        NonNull::new(self.0.load(Ordering::Relaxed))
    }

    /// Returns whether there was no element a moment ago.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed).is_null()
    }
}

/// The per-CPU operations.
///
/// Each works on the words of one CPU and can be called from any thread on any CPU. It is atomic
/// against every other operation for that CPU, not against those for others, and not against plain
/// atomic instructions, except that each load and store is a whole one.
///
/// Every operation is done by a restartable sequence if the thread is on that CPU, and otherwise by
/// cpu_opv() or, on a kernel without it, under a lock: see [`tiers`](crate::tiers).
///
/// # Errors
///
/// - [`Error::Cpu`]: the CPU is not possible. With [`Ops::shared`], or where there is cpu_opv() and
///   membarrier() is refused, also: it is online and the thread may not run there.
/// - [`Error::Fault`], [`Error::Again`]: an operand is not accessible. Operands that are borrowed
///   are.
/// - [`Error::NoMemory`]: there is no memory for what the library knows about the thread, or (with
///   [`Ops::shared`]) the kernel has none.
/// - [`Error::Busy`], with [`Ops::shared`]: the CPU is online but not active.
///
/// Nothing has happened then.
///
/// # Examples
///
/// ```
/// use cpu_opv::{current_cpu, Ops};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// let counter = AtomicUsize::new(40);
/// let ops = Ops::private();
/// ops.add(&counter, 1, current_cpu())?;
/// assert_eq!(ops.fetch_add(&counter, 1, 0)?, 41);
/// ops.add_release(&counter, 1, 0)?;
/// assert_eq!(counter.load(Ordering::Acquire), 43);
/// # Ok::<(), cpu_opv::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ops {
    shared: bool,
    // There is no other way to make one than those below.
    _private: PhantomData<()>,
}

/// The comparison of this number failed, from 0, and nothing has happened.
///
/// # Examples
///
/// ```
/// use cpu_opv::{Mismatch, Ops};
/// use std::sync::atomic::AtomicUsize;
///
/// let (state, owner) = (AtomicUsize::new(1), AtomicUsize::new(5));
/// let done = Ops::private().compare_compare_store(&state, 1, &owner, 6, 2, 0)?;
/// assert_eq!(done, Err(Mismatch(1)));
/// # Ok::<(), cpu_opv::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mismatch(pub usize);

fn pointer<W>(word: &W) -> *mut u8 {
    (&raw const *word).cast_mut().cast()
}

/// Runs `$operation` of the word's size.
macro_rules! sized {
    ($self:ident, $word:ty, $cpu:expr, $operation:ident { $($field:tt)* }) => {
        if <$word>::BYTES == 8 {
            perform(&$operation::<8> { $($field)* }, $cpu, $self.shared)
        } else {
            perform(&$operation::<4> { $($field)* }, $cpu, $self.shared)
        }
    };
}

impl Ops {
    /// Returns the operations on data of this process.
    pub const fn private() -> Self {
        Ops {
            shared: false,
            _private: PhantomData,
        }
    }

    /// Returns the operations on data that processes share.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the kernel does not have cpu_opv(). The lock cannot stand in for
    /// it: membarrier() fences the sequences of one process only.
    ///
    /// # Examples
    ///
    /// ```
    /// match cpu_opv::Ops::shared() {
    ///     Ok(_) => assert!(cpu_opv::tiers().cpu_opv),
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    pub fn shared() -> Result<Self, Error> {
        if !tiers().cpu_opv {
            return Err(Error::Unsupported);
        }
        Ok(Ops {
            shared: true,
            _private: PhantomData,
        })
    }

    /// Adds to an integer, wrapping.
    pub fn add<W: Integer + PerCpuWord>(
        self,
        word: &W,
        count: W::Value,
        cpu: c_int,
    ) -> Result<(), Error> {
        let (v, count, release) = (pointer(word), W::to_bits(count), false);

        // SAFETY: The operand is a word.
        unsafe { sized!(self, W, cpu, Add { v, count, release }) }.map(drop)
    }

    /// Adds to an integer, wrapping, ordered after all loads and stores before it.
    pub fn add_release<W: Integer + PerCpuWord>(
        self,
        word: &W,
        count: W::Value,
        cpu: c_int,
    ) -> Result<(), Error> {
        let (v, count, release) = (pointer(word), W::to_bits(count), true);

        // ORDERING: A sequence of one instruction has no store-release everywhere.
        fence(Ordering::Release);
        // SAFETY: The operand is a word.
        unsafe { sized!(self, W, cpu, Add { v, count, release }) }.map(drop)
    }

    /// Adds to an integer, wrapping, and returns what it was.
    pub fn fetch_add<W: Integer + PerCpuWord>(
        self,
        word: &W,
        count: W::Value,
        cpu: c_int,
    ) -> Result<W::Value, Error> {
        let (v, count) = (pointer(word), W::to_bits(count));

        // SAFETY: The operand is a word.
        let old = unsafe { sized!(self, W, cpu, FetchAdd { v, count }) }?;
        Ok(W::from_bits(old.unwrap_or_default()))
    }

    /// Stores a value in a word and returns what it was. With zero it drains a counter, with null it
    /// takes a whole list.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::AtomicUsize;
    ///
    /// let counter = AtomicUsize::new(7);
    /// assert_eq!(cpu_opv::Ops::private().swap(&counter, 0, 0)?, 7);
    /// # Ok::<(), cpu_opv::Error>(())
    /// ```
    pub fn swap<W: PerCpuWord>(
        self,
        word: &W,
        new: W::Value,
        cpu: c_int,
    ) -> Result<W::Value, Error> {
        let (v, new) = (pointer(word), W::to_bits(new));

        // SAFETY: The operand is a word.
        let old = unsafe { sized!(self, W, cpu, Swap { v, new }) }?;
        Ok(W::from_bits(old.unwrap_or_default()))
    }

    /// Stores a value in a word if it has the expected one.
    ///
    /// # Examples
    ///
    /// ```
    /// use cpu_opv::{Mismatch, Ops};
    /// use std::sync::atomic::AtomicU32;
    ///
    /// let state = AtomicU32::new(1);
    /// assert_eq!(Ops::private().compare_store(&state, 1, 2, 0)?, Ok(()));
    /// assert_eq!(Ops::private().compare_store(&state, 1, 3, 0)?, Err(Mismatch(0)));
    /// # Ok::<(), cpu_opv::Error>(())
    /// ```
    pub fn compare_store<W: PerCpuWord>(
        self,
        word: &W,
        expect: W::Value,
        new: W::Value,
        cpu: c_int,
    ) -> Result<Result<(), Mismatch>, Error> {
        let (v, expect, new) = (pointer(word), W::to_bits(expect), W::to_bits(new));
        let release = true;

        // SAFETY: The operand is a word.
        let done = unsafe {
            sized!(
                self,
                W,
                cpu,
                CompareStore {
                    v,
                    expect,
                    new,
                    release
                }
            )
        }?;
        Ok(outcome(done))
    }

    /// If a word has the expected value, stores a value in another word of the CPU, and then one in
    /// the first. Another CPU that sees the second store sees the first.
    ///
    /// The first store does not count until the second is made: a sequence that is aborted between
    /// the two leaves it behind, and the operation is tried again.
    ///
    /// # Examples
    ///
    /// ```
    /// use cpu_opv::Ops;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let (length, slot) = (AtomicUsize::new(0), AtomicUsize::new(0));
    /// let done = Ops::private().compare_store_store(&length, 0, &slot, 42, 1, 0)?;
    /// assert_eq!(done, Ok(()));
    /// assert_eq!(slot.load(Ordering::Relaxed), 42);
    /// # Ok::<(), cpu_opv::Error>(())
    /// ```
    pub fn compare_store_store<W: PerCpuWord>(
        self,
        word: &W,
        expect: W::Value,
        other: &W,
        other_new: W::Value,
        new: W::Value,
        cpu: c_int,
    ) -> Result<Result<(), Mismatch>, Error> {
        let (v, expect, new) = (pointer(word), W::to_bits(expect), W::to_bits(new));
        let (v2, new2, release) = (pointer(other), W::to_bits(other_new), true);

        // SAFETY: The operands are words.
        let done = unsafe {
            sized!(
                self,
                W,
                cpu,
                CompareStoreStore {
                    v,
                    expect,
                    v2,
                    new2,
                    new,
                    release
                }
            )
        }?;
        Ok(outcome(done))
    }

    /// Stores a value in a word if it and another word of the CPU have the expected ones.
    ///
    /// # Examples
    ///
    /// ```
    /// use cpu_opv::{Mismatch, Ops};
    /// use std::sync::atomic::AtomicUsize;
    ///
    /// let (active, counter) = (AtomicUsize::new(0), AtomicUsize::new(5));
    /// let done = Ops::private().compare_compare_store(&counter, 5, &active, 1, 6, 0)?;
    /// assert_eq!(done, Err(Mismatch(1)));
    /// # Ok::<(), cpu_opv::Error>(())
    /// ```
    pub fn compare_compare_store<W: PerCpuWord>(
        self,
        word: &W,
        expect: W::Value,
        other: &W,
        other_expect: W::Value,
        new: W::Value,
        cpu: c_int,
    ) -> Result<Result<(), Mismatch>, Error> {
        let (v, expect, new) = (pointer(word), W::to_bits(expect), W::to_bits(new));
        let (v2, expect2) = (pointer(other), W::to_bits(other_expect));

        // SAFETY: The operands are words.
        let done = unsafe {
            sized!(
                self,
                W,
                cpu,
                CompareCompareStore {
                    v,
                    expect,
                    v2,
                    expect2,
                    new
                }
            )
        }?;
        Ok(outcome(done))
    }

    /// If a word has the expected value, copies bytes and then stores a value in the word. Another
    /// CPU that sees the store sees the copy.
    ///
    /// # Errors
    ///
    /// As [`Ops`] says, and [`Error::Cpu`] if `len` is more than
    /// [`CPU_OP_DATA_LEN_MAX`](sys::CPU_OP_DATA_LEN_MAX).
    ///
    /// # Safety
    ///
    /// If the word has the expected value, `len` bytes can be read at `src` and written at `dst`, and
    /// no one accesses them meanwhile but operations for this CPU. `dst` may have been written to
    /// also if nothing was stored in the word.
    ///
    /// # Examples
    ///
    /// ```
    /// use cpu_opv::Ops;
    /// use std::{cell::UnsafeCell, sync::atomic::AtomicUsize};
    ///
    /// let (length, buffer) = (AtomicUsize::new(0), UnsafeCell::new([0u8; 8]));
    /// let record = *b"a record";
    /// // SAFETY: Nobody else knows the buffer.
    /// let done = unsafe {
    ///     Ops::private().compare_copy_store(
    ///         &length, 0, buffer.get().cast(), record.as_ptr(), record.len(), record.len(), 0,
    ///     )
    /// }?;
    /// assert_eq!(done, Ok(()));
    /// assert_eq!(buffer.into_inner(), record);
    /// # Ok::<(), cpu_opv::Error>(())
    /// ```
    #[allow(clippy::too_many_arguments)]
    pub unsafe fn compare_copy_store<W: PerCpuWord>(
        self,
        word: &W,
        expect: W::Value,
        dst: *mut u8,
        src: *const u8,
        len: usize,
        new: W::Value,
        cpu: c_int,
    ) -> Result<Result<(), Mismatch>, Error> {
        let (v, expect, new) = (pointer(word), W::to_bits(expect), W::to_bits(new));
        let release = true;

        if len > sys::CPU_OP_DATA_LEN_MAX {
            return Err(Error::Cpu);
        }
        // SAFETY: The first operand is a word, and the caller vouches for the others.
        let done = unsafe {
            sized!(
                self,
                W,
                cpu,
                CompareCopyStore {
                    v,
                    expect,
                    dst,
                    src,
                    len,
                    new,
                    release
                }
            )
        }?;
        Ok(outcome(done))
    }

    /// Puts an element at the head of a list.
    ///
    /// # Safety
    ///
    /// The element is on no list. It stays where it is until it has been taken from this one, and
    /// whoever takes it may have it. As long as there is an element, all operations on the list are
    /// for the same CPU, and all are private or all are shared.
    ///
    /// # Examples
    ///
    /// ```
    /// use cpu_opv::{Link, List, Ops};
    ///
    /// let (list, link) = (List::new(), Link::new());
    /// // SAFETY: The element outlives the list.
    /// unsafe {
    ///     Ops::private().push(&list, (&link).into(), 0)?;
    /// }
    /// assert_eq!(Ops::private().pop(&list, 0)?, Some((&link).into()));
    /// assert_eq!(Ops::private().pop(&list, 0)?, None);
    /// # Ok::<(), cpu_opv::Error>(())
    /// ```
    pub unsafe fn push(self, list: &List, link: NonNull<Link>, cpu: c_int) -> Result<(), Error> {
        let operation = Push {
            head: pointer(&list.0),
            next: link.as_ptr().cast(),
            node: address(link.as_ptr()),
        };

        // SAFETY: The list is a word, and so is the link.
        unsafe { perform(&operation, cpu, self.shared) }.map(drop)
    }

    /// Takes the element at the head of a list.
    ///
    /// The element is the caller's then, also to free it at once: no other thread that has just
    /// seen it at the head goes on with it.
    ///
    /// # Examples
    ///
    /// ```
    /// use cpu_opv::{Link, List, Ops};
    ///
    /// let (list, link) = (List::new(), Link::new());
    /// // SAFETY: The link is on no other list and stays while it is on this one, of CPU 0.
    /// unsafe { Ops::private().push(&list, (&link).into(), 0) }?;
    /// assert_eq!(Ops::private().pop(&list, 0)?, Some((&link).into()));
    /// assert_eq!(Ops::private().pop(&list, 0)?, None);
    /// # Ok::<(), cpu_opv::Error>(())
    /// ```
    pub fn pop(self, list: &List, cpu: c_int) -> Result<Option<NonNull<Link>>, Error> {
        let operation = Pop {
            head: pointer(&list.0),
            empty: 0,
            offset: 0,
        };

        // SAFETY: The list is a word, and so is the link of its head.
        let node = unsafe { perform(&operation, cpu, self.shared) }?.unwrap_or_default();
        Ok(NonNull::new(core::ptr::with_exposed_provenance_mut(
            node as usize,
        )))
    }

    /// Takes all elements of a list. [`Link::next`] leads from the first to the others.
    ///
    /// # Examples
    ///
    /// ```
    /// use cpu_opv::{List, Ops};
    ///
    /// assert_eq!(Ops::private().take_all(&List::new(), 0)?, None);
    /// # Ok::<(), cpu_opv::Error>(())
    /// ```
    pub fn take_all(self, list: &List, cpu: c_int) -> Result<Option<NonNull<Link>>, Error> {
        Ok(NonNull::new(self.swap(
            &list.0,
            core::ptr::null_mut(),
            cpu,
        )?))
    }
}

fn outcome(done: Result<u64, usize>) -> Result<(), Mismatch> {
    done.map(drop).map_err(Mismatch)
}

const _: () = assert!(size_of::<AtomicUsize>() == POINTER);
