// SPDX-License-Identifier: GPL-2.0

//! Access to user memory without a page fault.
//!
//! Where sleeping is not allowed, memory that is not present cannot be faulted in. These functions
//! fail with [`EFAULT`] then, and leave it to the caller to fault it in where that is allowed, and
//! to start again.
//!
//! They move integers as a whole, and never copy one by bytes, so they are for algorithms on
//! integers that other threads change at the same time. Any address may be passed to them: one that
//! the process may not access is an error and nothing more, so all of them are safe.
//!
//! Context of all of them: Task context, with the memory of the current task. They do not sleep.
//!
//! # Examples
//!
//! ```
//! use kernel::uaccess::{
//!     nofault::{
//!         self,
//!         Width, //
//!     },
//!     UserPtr, //
//! };
//!
//! /// Adds to a counter of four bytes, which nothing else writes to meanwhile.
//! fn add(counter: UserPtr, delta: u64) -> Result {
//!     let sum = nofault::load(counter, Width::U32)?.wrapping_add(delta);
//!     nofault::store(counter, Width::U32, sum)
//! }
//!
//! /// Takes a lock, a word that is 0 if nobody has it.
//! fn try_lock(word: UserPtr, owner: u32) -> Result<bool> {
//!     Ok(nofault::cmpxchg(word, 0, owner)? == 0)
//! }
//!
//! # // SAFETY: This runs as a test.
//! # assert_eq!(unsafe { kernel::bindings::kunit_attach_mm() }, 0);
//! let null = UserPtr::from_addr(0);
//!
//! assert_eq!(add(null, 1), Err(EFAULT));
//! assert_eq!(try_lock(null, 1), Err(EFAULT));
//! assert_eq!(try_lock(null.wrapping_byte_add(2), 1), Err(EINVAL));
//! # Ok::<(), Error>(())
//! ```
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)

use super::{
    untagged_addr,
    UserPtr, //
};
use crate::{
    bindings,
    error::to_result,
    prelude::*, //
};

/// The size of an integer in user memory.
///
/// # Invariants
///
/// It is 1, 2, 4 or 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width(pub(crate) usize);

impl Width {
    /// One byte.
    pub const U8: Self = Self(1);
    /// Two bytes.
    pub const U16: Self = Self(2);
    /// Four bytes.
    pub const U32: Self = Self(4);
    /// Eight bytes, which only 64-bit machines move as a whole.
    pub const U64: Self = Self(8);

    /// Returns the width of an integer of `len` bytes, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::uaccess::nofault::Width;
    ///
    /// assert_eq!(Width::from_bytes(4), Some(Width::U32));
    /// assert_eq!(Width::from_bytes(0), None);
    /// assert_eq!(Width::from_bytes(3), None);
    /// assert_eq!(Width::from_bytes(16), None);
    /// ```
    #[inline]
    pub const fn from_bytes(len: usize) -> Option<Self> {
        const SIZES: usize = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8;

        if len <= 8 && SIZES >> len & 1 != 0 {
            // INVARIANT: These are the sizes.
            Some(Self(len))
        } else {
            None
        }
    }

    /// Returns the size in bytes.
    #[inline]
    pub const fn bytes(self) -> usize {
        self.0
    }
}

/// Loads an integer, zero-extended.
///
/// It is loaded by one access if it is naturally aligned.
///
/// # Errors
///
/// - [`EFAULT`]: the memory is not accessible or not present.
/// - [`EINVAL`]: the integer is larger than a word of the machine.
#[inline]
pub fn load(src: UserPtr, width: Width) -> Result<u64> {
    let mut val = 0;

    // SAFETY: `val` may be written. Any address may be passed.
    to_result(unsafe { bindings::load_user_nofault(&mut val, src.as_const_ptr(), width.bytes()) })?;
    // CAST: No word is larger.
    Ok(val as u64)
}

/// Stores an integer, whose bits are the low ones of `val`.
///
/// It is stored by one access, so after an error nothing has been stored.
///
/// # Errors
///
/// - [`EFAULT`]: the memory is not accessible or not present, or cannot be written as it is.
/// - [`EINVAL`]: the pointer is not naturally aligned, or the integer is larger than a word of the
///   machine.
#[inline]
pub fn store(dst: UserPtr, width: Width, val: u64) -> Result {
    // CAST: What does not fit into a word is refused by its width.
    let val = val as usize;

    // SAFETY: Any address may be passed.
    to_result(unsafe { bindings::store_user_nofault(dst.as_mut_ptr(), val, width.bytes()) })
}

/// Replaces an integer by `new` if it is `old`, atomically, and returns what it was.
///
/// # Errors
///
/// - [`EFAULT`]: the memory is not accessible or not present, or cannot be written as it is.
/// - [`EAGAIN`]: contention has kept the comparison from being made. Let others run before
///   the next attempt.
/// - [`EINVAL`]: the pointer is not naturally aligned.
/// - [`EOPNOTSUPP`]: the architecture has no such operation.
#[inline]
pub fn cmpxchg(ptr: UserPtr, old: u32, new: u32) -> Result<u32> {
    let mut prev = 0;

    // SAFETY: `prev` may be written. Any address may be passed.
    to_result(unsafe {
        bindings::cmpxchg_user_nofault(&mut prev, ptr.as_mut_ptr().cast(), old, new)
    })?;
    Ok(prev)
}

/// Does what [`cmpxchg()`] does, with an integer of eight bytes, where the architecture can.
///
/// # Errors
///
/// The same ones.
#[inline]
pub fn cmpxchg64(ptr: UserPtr, old: u64, new: u64) -> Result<u64> {
    let mut prev = 0;

    // SAFETY: `prev` may be written. Any address may be passed.
    to_result(unsafe {
        bindings::cmpxchg64_user_nofault(&mut prev, ptr.as_mut_ptr().cast(), old, new)
    })?;
    Ok(prev)
}

/// Checks whether a naturally aligned integer at `ptr` could be stored.
///
/// The memory keeps its contents, whatever others do to it meanwhile. But to the system this is a
/// write, by which a page gets dirty.
///
/// # Errors
///
/// - [`EFAULT`]: a store would have failed with [`EFAULT`].
/// - [`EAGAIN`], [`EOPNOTSUPP`]: as for [`cmpxchg()`].
#[inline]
pub fn probe_writeable(ptr: UserPtr) -> Result {
    // SAFETY: Any address may be passed.
    to_result(unsafe { bindings::probe_user_writeable_nofault(ptr.as_mut_ptr()) })
}

/// Returns whether two areas of `len` bytes are equal.
///
/// If they are not, what is behind the first difference may not have been accessed.
///
/// # Errors
///
/// - [`EFAULT`]: the memory is not accessible or not present.
#[inline]
pub fn equal(a: UserPtr, b: UserPtr, len: usize) -> Result<bool> {
    // SAFETY: Any addresses and length may be passed.
    let ret = unsafe { bindings::memcmp_user_nofault(a.as_const_ptr(), b.as_const_ptr(), len) };

    to_result(ret).map(|()| ret == 0)
}

/// Copies an area to `dst`, by bytes.
///
/// # Errors
///
/// - [`EFAULT`]: the memory is not accessible or not present. `dst` may have been written.
#[inline]
pub fn copy_from(dst: &mut [u8], src: UserPtr) -> Result {
    // What is called is for tracing, in any context, so it does not take a tag.
    let src = UserPtr::from_addr(untagged_addr(src));

    // SAFETY: `dst` may be written for its length. Any address may be passed.
    match unsafe {
        bindings::copy_from_user_nofault(dst.as_mut_ptr().cast(), src.as_const_ptr(), dst.len())
    } {
        0 => Ok(()),
        _ => Err(EFAULT),
    }
}

#[kunit_tests(rust_kernel_uaccess_nofault)]
mod tests {
    use super::{
        super::UserSlice,
        *, //
    };
    use crate::page::PAGE_SIZE;

    const BYTES: [u8; 8] = [0x80, 0x91, 0xa2, 0xb3, 0xc4, 0xd5, 0xe6, 0xf7];

    const WIDTHS: [Width; 4] = [Width::U8, Width::U16, Width::U32, Width::U64];

    /// Returns memory of which the first page is present and starts with [`BYTES`]; there is a
    /// second page, which is not present.
    fn memory() -> Result<UserPtr> {
        // SAFETY: Tests run in tasks of their own, which have no memory yet.
        to_result(unsafe { bindings::kunit_attach_mm() })?;
        // SAFETY: The current task has memory.
        let addr = unsafe {
            bindings::vm_mmap(
                core::ptr::null_mut(),
                0,
                2 * PAGE_SIZE,
                (bindings::PROT_READ | bindings::PROT_WRITE) as usize,
                (bindings::MAP_PRIVATE | bindings::MAP_ANONYMOUS) as usize,
                0,
            )
        };
        let ptr = UserPtr::from_addr(addr);

        // What is no address fails here.
        UserSlice::new(ptr, BYTES.len())
            .writer()
            .write_slice(&BYTES)?;
        Ok(ptr)
    }

    fn absent(memory: UserPtr) -> UserPtr {
        memory.wrapping_byte_add(PAGE_SIZE)
    }

    /// Returns the integer that is the first of [`BYTES`].
    fn first(width: Width) -> u64 {
        match width {
            Width::U8 => BYTES[0].into(),
            Width::U16 => u16::from_ne_bytes([BYTES[0], BYTES[1]]).into(),
            Width::U32 => u32::from_ne_bytes([BYTES[0], BYTES[1], BYTES[2], BYTES[3]]).into(),
            _ => u64::from_ne_bytes(BYTES),
        }
    }

    #[test]
    fn load_each_width() -> Result {
        let memory = memory()?;

        for width in WIDTHS {
            assert_eq!(load(memory, width), Ok(first(width)));
            assert_eq!(load(absent(memory), width), Err(EFAULT));
        }
        Ok(())
    }

    #[test]
    fn store_each_width() -> Result {
        let memory = memory()?;

        for width in WIDTHS {
            let to = memory.wrapping_byte_add(16);
            let mut stored = [0; 8];
            let len = width.bytes();

            store(to, Width::U64, 0)?;
            store(to, width, first(width))?;
            copy_from(&mut stored, to)?;
            assert_eq!(stored[..len], BYTES[..len]);
            assert_eq!(stored[len..], [0; 8][len..]);
            assert_eq!(store(absent(memory), width, 1), Err(EFAULT));
        }
        assert_eq!(
            store(memory.wrapping_byte_add(1), Width::U16, 1),
            Err(EINVAL)
        );
        Ok(())
    }

    #[test]
    fn exchange_if_equal() -> Result {
        let memory = memory()?;
        let word = memory.wrapping_byte_add(8);

        store(word, Width::U64, 0)?;
        assert_eq!(cmpxchg(word, 1, 2), Ok(0));
        assert_eq!(cmpxchg(word, 0, 2), Ok(0));
        assert_eq!(cmpxchg(word, 0, 3), Ok(2));
        assert_eq!(load(word, Width::U32), Ok(2));
        assert_eq!(cmpxchg(absent(memory), 0, 1), Err(EFAULT));

        store(word, Width::U64, 0)?;
        match cmpxchg64(word, 1, 2) {
            Err(EOPNOTSUPP) => return Ok(()),
            prev => assert_eq!(prev, Ok(0)),
        }
        assert_eq!(cmpxchg64(word, 0, u64::MAX), Ok(0));
        assert_eq!(load(word, Width::U64), Ok(u64::MAX));
        assert_eq!(cmpxchg64(absent(memory), 0, 1), Err(EFAULT));
        Ok(())
    }

    #[test]
    fn probe_without_change() -> Result {
        let memory = memory()?;

        for byte in 0..BYTES.len() {
            assert_eq!(probe_writeable(memory.wrapping_byte_add(byte)), Ok(()));
        }
        assert_eq!(load(memory, Width::U64), Ok(first(Width::U64)));
        assert_eq!(probe_writeable(absent(memory)), Err(EFAULT));
        Ok(())
    }

    #[test]
    fn compare_and_copy() -> Result {
        let memory = memory()?;
        let copy = memory.wrapping_byte_add(16);
        let mut bytes = [0; BYTES.len()];

        copy_from(&mut bytes, memory)?;
        assert_eq!(bytes, BYTES);
        assert_eq!(equal(memory, copy, BYTES.len()), Ok(false));
        store(copy, Width::U64, first(Width::U64))?;
        assert_eq!(equal(memory, copy, BYTES.len()), Ok(true));

        assert_eq!(equal(memory, absent(memory), 1), Err(EFAULT));
        assert_eq!(copy_from(&mut bytes, absent(memory)), Err(EFAULT));
        Ok(())
    }
}
