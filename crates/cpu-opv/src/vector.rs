// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The call: operations, vectors of them, and running one.

use core::ffi::{c_int, c_long, c_void};
use core::fmt;
use core::marker::PhantomData;

use crate::error::Error;
use crate::sys::{self, cpu_op};
use crate::word::{address, Integer, Word};

/// What became of a vector.
///
/// # Examples
///
/// ```
/// use cpu_opv::{run, Op, Outcome};
/// use std::sync::atomic::AtomicUsize;
///
/// let state = AtomicUsize::new(1);
/// match run([Op::compare_eq(&state, 2), Op::store(&state, 3)], 0) {
///     Ok(outcome) => assert!(outcome == Outcome::Stopped(0) && !outcome.is_done()),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a comparison may have stopped the vector"]
pub enum Outcome {
    /// Every operation has run.
    Done,
    /// The comparison of this index stopped the vector. The operations before it have taken
    /// effect.
    Stopped(usize),
}

impl Outcome {
    /// Returns whether every operation has run.
    pub fn is_done(self) -> bool {
        self == Outcome::Done
    }
}

/// A limit of the system call was exceeded.
///
/// # Examples
///
/// ```
/// use cpu_opv::{sys, LimitError, Op, Vector};
///
/// let mut vector = Vector::new();
/// for _ in 0..sys::CPU_OP_VEC_LEN_MAX {
///     vector.push(Op::barrier())?;
/// }
/// assert!(vector.push(Op::barrier()).is_err());
/// # Ok::<(), LimitError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LimitError(());

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more operations or bytes than a vector can have")
    }
}

impl core::error::Error for LimitError {}

/// Which arguments of an operation is the address of its own [`Op::value`].
#[derive(Clone, Copy, Debug)]
enum Own {
    Nothing,
    Second,
}

/// One operation.
///
/// The operands are words that the operation borrows, so every safe constructor is sound: the
/// kernel accesses a word by one load and one store, as other threads do. The others take raw
/// operands, and are unsafe.
///
/// # Examples
///
/// ```
/// use cpu_opv::{run, Error, Op};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// let [a, b, c] = &[1, 2, 0].map(AtomicU32::new);
/// let compare = [
///     Op::compare_eq(a, 1),
///     Op::compare_ne(a, 2),
///     Op::compare_ne_words(a, b),
///     Op::copy(c, a),
///     Op::compare_eq_words(a, c),
/// ];
/// let change = [
///     Op::add(a, 1),
///     Op::add_release(b, 1),
///     Op::or(a, 4),
///     Op::and(a, 6),
///     Op::xor(a, 3),
///     Op::shift_left(a, 2),
///     Op::shift_right(b, 1),
///     Op::barrier(),
///     Op::store(c, 7),
///     Op::store_release(c, 8),
///     Op::copy_release(b, c),
/// ];
/// match run(compare, 0).and_then(|outcome| Ok((outcome, run(change, 0)?))) {
///     Ok((compared, changed)) => {
///         assert!(compared.is_done() && changed.is_done());
///         let values = [a, b, c].map(|word| word.load(Ordering::Relaxed));
///         assert_eq!(values, [20, 8, 8]);
///     }
///     Err(error) => assert_eq!(error, Error::Unsupported),
/// }
/// ```
#[derive(Clone, Copy)]
#[must_use = "an operation does nothing unless a vector with it is run"]
pub struct Op<'a> {
    raw: cpu_op,
    // A value of the operation's own: what a word is compared with, or set to.
    value: [u8; 8],
    own: Own,
    operands: PhantomData<&'a c_void>,
}

impl fmt::Debug for Op<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Op")
            .field("op", &self.raw.op)
            .field("len", &self.raw.len)
            .finish_non_exhaustive()
    }
}

impl<'a> Op<'a> {
    fn new(raw: cpu_op) -> Self {
        Op {
            raw,
            value: [0; 8],
            own: Own::Nothing,
            operands: PhantomData,
        }
    }

    fn compare_raw(op: i32, a: u64, b: u64, len: usize) -> Self {
        Self::new(cpu_op::compare(op, a, b, len))
    }

    fn copy_raw(op: i32, dst: u64, src: u64, len: usize) -> Self {
        Self::new(cpu_op::memcpy(op, dst, src, len))
    }

    fn with_value<W: Word>(mut self, value: W::Value) -> Self {
        let bits = W::to_bits(value);

        // The value lies where a word of that width would.
        match W::BYTES {
            1 => self.value[0] = bits as u8,
            2 => self.value[..2].copy_from_slice(&(bits as u16).to_ne_bytes()),
            4 => self.value[..4].copy_from_slice(&(bits as u32).to_ne_bytes()),
            _ => self.value = bits.to_ne_bytes(),
        }
        self.own = Own::Second;
        self
    }

    /// Goes on if a word has this value, else stops the vector.
    pub fn compare_eq<W: Word>(word: &'a W, value: W::Value) -> Self {
        Self::compare_raw(sys::CPU_COMPARE_EQ_OP, address(word), 0, W::BYTES).with_value::<W>(value)
    }

    /// Goes on if a word does not have this value, else stops the vector.
    pub fn compare_ne<W: Word>(word: &'a W, value: W::Value) -> Self {
        Self::compare_raw(sys::CPU_COMPARE_NE_OP, address(word), 0, W::BYTES).with_value::<W>(value)
    }

    /// Goes on if two words are equal, else stops the vector.
    pub fn compare_eq_words<W: Word>(a: &'a W, b: &'a W) -> Self {
        Self::compare_raw(sys::CPU_COMPARE_EQ_OP, address(a), address(b), W::BYTES)
    }

    /// Goes on if two words differ, else stops the vector.
    pub fn compare_ne_words<W: Word>(a: &'a W, b: &'a W) -> Self {
        Self::compare_raw(sys::CPU_COMPARE_NE_OP, address(a), address(b), W::BYTES)
    }

    /// Stores a value in a word.
    pub fn store<W: Word>(word: &'a W, value: W::Value) -> Self {
        Self::copy_raw(sys::CPU_MEMCPY_OP, address(word), 0, W::BYTES).with_value::<W>(value)
    }

    /// Stores a value in a word, ordered after all loads and stores before it.
    pub fn store_release<W: Word>(word: &'a W, value: W::Value) -> Self {
        Self::copy_raw(sys::CPU_MEMCPY_RELEASE_OP, address(word), 0, W::BYTES)
            .with_value::<W>(value)
    }

    /// Copies a word. This is also how a vector loads one, into a word of the caller's own.
    pub fn copy<W: Word>(dst: &'a W, src: &'a W) -> Self {
        Self::copy_raw(sys::CPU_MEMCPY_OP, address(dst), address(src), W::BYTES)
    }

    /// Copies a word, ordered after all loads and stores before it.
    pub fn copy_release<W: Word>(dst: &'a W, src: &'a W) -> Self {
        Self::copy_raw(
            sys::CPU_MEMCPY_RELEASE_OP,
            address(dst),
            address(src),
            W::BYTES,
        )
    }

    fn arithmetic<W: Integer>(op: i32, word: &'a W, count: W::Value) -> Self {
        // CAST: Only the low bits that fit the word are used.
        let count = W::to_bits(count) as i64;

        Self::new(cpu_op::arithmetic(op, address(word), count, W::BYTES))
    }

    /// Adds to an integer, wrapping.
    pub fn add<W: Integer>(word: &'a W, count: W::Value) -> Self {
        Self::arithmetic(sys::CPU_ADD_OP, word, count)
    }

    /// Adds to an integer, wrapping, ordered after all loads and stores before it.
    pub fn add_release<W: Integer>(word: &'a W, count: W::Value) -> Self {
        Self::arithmetic(sys::CPU_ADD_RELEASE_OP, word, count)
    }

    fn bitwise<W: Integer>(op: i32, word: &'a W, mask: u64) -> Self {
        Self::new(cpu_op::bitwise(op, address(word), mask, W::BYTES))
    }

    /// Sets the bits of a mask in an integer.
    pub fn or<W: Integer>(word: &'a W, mask: W::Value) -> Self {
        Self::bitwise(sys::CPU_OR_OP, word, W::to_bits(mask))
    }

    /// Clears the bits outside of a mask in an integer.
    pub fn and<W: Integer>(word: &'a W, mask: W::Value) -> Self {
        Self::bitwise(sys::CPU_AND_OP, word, W::to_bits(mask))
    }

    /// Flips the bits of a mask in an integer.
    pub fn xor<W: Integer>(word: &'a W, mask: W::Value) -> Self {
        Self::bitwise(sys::CPU_XOR_OP, word, W::to_bits(mask))
    }

    fn shift<W: Integer>(op: i32, word: &'a W, bits: u32) -> Self {
        if bits as usize >= 8 * W::BYTES {
            // The system call refuses what shifts out all bits.
            return Self::bitwise(sys::CPU_AND_OP, word, 0);
        }
        Self::new(cpu_op::shift(op, address(word), bits, W::BYTES))
    }

    /// Shifts an integer left. Nothing is left of it after its whole width.
    pub fn shift_left<W: Integer>(word: &'a W, bits: u32) -> Self {
        Self::shift(sys::CPU_LSHIFT_OP, word, bits)
    }

    /// Shifts an integer right, filling with zeroes. Nothing is left of it after its whole width.
    pub fn shift_right<W: Integer>(word: &'a W, bits: u32) -> Self {
        Self::shift(sys::CPU_RSHIFT_OP, word, bits)
    }

    /// Is a full memory barrier between the operations before and after it.
    pub fn barrier() -> Self {
        Self::new(cpu_op::barrier())
    }

    /// Compares bytes: goes on if they are equal (`equal`) or differ (not `equal`), else stops the
    /// vector.
    ///
    /// # Errors
    ///
    /// [`LimitError`] if `len` is more than [`sys::CPU_OP_DATA_LEN_MAX`].
    ///
    /// # Safety
    ///
    /// Whenever a vector with this operation runs, `len` bytes from each pointer on either are not
    /// accessible to the process at all, or can be read, and no other thread then writes to them
    /// except by cpu_opv() for the same CPU, or a restartable sequence there.
    ///
    /// # Examples
    ///
    /// ```
    /// use cpu_opv::{run, Op};
    ///
    /// let (key, wanted) = (*b"a key", *b"a key");
    /// let (a, b) = (key.as_ptr().cast(), wanted.as_ptr().cast());
    /// // SAFETY: Both are there and do not change.
    /// let compare = unsafe { Op::compare_bytes(true, a, b, key.len()) }?;
    /// if let Ok(outcome) = run([compare], 0) {
    ///     assert!(outcome.is_done());
    /// }
    /// # Ok::<(), cpu_opv::LimitError>(())
    /// ```
    pub unsafe fn compare_bytes(
        equal: bool,
        a: *const c_void,
        b: *const c_void,
        len: usize,
    ) -> Result<Self, LimitError> {
        let op = if equal {
            sys::CPU_COMPARE_EQ_OP
        } else {
            sys::CPU_COMPARE_NE_OP
        };

        check_len(len)?;
        Ok(Self::compare_raw(op, address(a), address(b), len))
    }

    /// Copies bytes. If the operands overlap, the content of `dst` is unspecified.
    ///
    /// # Errors
    ///
    /// [`LimitError`] if `len` is more than [`sys::CPU_OP_DATA_LEN_MAX`].
    ///
    /// # Safety
    ///
    /// As for [`compare_bytes`](Op::compare_bytes), and `dst` can be written: no reference asserts
    /// that it does not change, and no other thread reads it then except by cpu_opv() for the same
    /// CPU, or a restartable sequence there. The bytes are valid for whoever reads them as a type.
    ///
    /// # Examples
    ///
    /// ```
    /// use cpu_opv::{run, Op};
    ///
    /// let (record, mut log) = (*b"a record", [0; 8]);
    /// let (dst, src) = ((&raw mut log).cast(), (&raw const record).cast());
    /// // SAFETY: Both are there, and no reference to them is used while the vector runs.
    /// let copy = unsafe { Op::copy_bytes(dst, src, record.len()) }?;
    /// if run([copy], 0).is_ok() {
    ///     assert_eq!(log, record);
    /// }
    /// # Ok::<(), cpu_opv::LimitError>(())
    /// ```
    pub unsafe fn copy_bytes(
        dst: *mut c_void,
        src: *const c_void,
        len: usize,
    ) -> Result<Self, LimitError> {
        check_len(len)?;
        Ok(Self::copy_raw(
            sys::CPU_MEMCPY_OP,
            address(dst),
            address(src),
            len,
        ))
    }

    /// Copies a word to one that is borrowed from one that may have been freed, as the next element
    /// of a list is, whose head another thread may have taken meanwhile. If `src` is not
    /// accessible, the vector fails with [`Error::Again`].
    ///
    /// # Safety
    ///
    /// Whenever the comparisons before it let the vector get here, `src` is a word that is valid.
    ///
    /// # Examples
    ///
    /// ```
    /// use cpu_opv::{run, Op};
    /// use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
    ///
    /// let (mut next, second) = (AtomicUsize::new(0), 16);
    /// *next.get_mut() = second;
    /// let (head, new) = (AtomicPtr::new(&raw mut next), AtomicUsize::new(0));
    /// let first = head.load(Ordering::Relaxed);
    /// // SAFETY: While `first` is the head it is there.
    /// let vector = [Op::compare_eq(&head, first), unsafe { Op::copy_from(&new, first) }];
    /// if run(vector, 0).is_ok() {
    ///     assert_eq!(new.load(Ordering::Relaxed), second);
    /// }
    /// ```
    pub unsafe fn copy_from<W: Word>(dst: &'a W, src: *const W) -> Self {
        let mut op = Self::copy_raw(sys::CPU_MEMCPY_OP, address(dst), address(src), W::BYTES);

        op.raw.u.memcpy_op.expect_fault_src = 1;
        op
    }

    /// Returns the operation as the system call takes it, once `self` is where it stays.
    fn lower(&self) -> cpu_op {
        let mut raw = self.raw;

        match (self.own, raw.op) {
            (Own::Nothing, _) => {}
            (Own::Second, sys::CPU_COMPARE_EQ_OP | sys::CPU_COMPARE_NE_OP) => {
                raw.u.compare_op.b = address(&self.value)
            }
            (Own::Second, _) => raw.u.memcpy_op.src = address(&self.value),
        }
        raw
    }
}

fn check_len(len: usize) -> Result<(), LimitError> {
    if len > sys::CPU_OP_DATA_LEN_MAX {
        return Err(LimitError(()));
    }
    Ok(())
}

/// A vector: up to [`CPU_OP_VEC_LEN_MAX`](sys::CPU_OP_VEC_LEN_MAX) operations.
///
/// A vector cannot exceed the limits of the system call, so [`Error::Cpu`] can only mean the CPU.
///
/// # Examples
///
/// ```
/// use cpu_opv::{Op, Vector};
/// use std::sync::atomic::AtomicUsize;
///
/// let (state, length) = (AtomicUsize::new(1), AtomicUsize::new(0));
/// let mut vector = Vector::new();
/// vector.push(Op::compare_eq(&state, 1))?;
/// vector.push(Op::add(&length, 1))?;
/// match vector.run(0) {
///     Ok(outcome) => println!("{outcome:?}"),
///     Err(error) => println!("{error}"),
/// }
/// # Ok::<(), cpu_opv::LimitError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Vector<'a> {
    ops: [Op<'a>; sys::CPU_OP_VEC_LEN_MAX],
    len: usize,
    // The sum of the lengths of the operations.
    bytes: usize,
}

impl Default for Vector<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Vector<'a> {
    /// Returns an empty vector.
    pub fn new() -> Self {
        Vector {
            ops: [Op::barrier(); sys::CPU_OP_VEC_LEN_MAX],
            len: 0,
            bytes: 0,
        }
    }

    /// Adds an operation at the end.
    ///
    /// # Errors
    ///
    /// [`LimitError`] if the vector is full, or the sum of the lengths would be more than
    /// [`CPU_OP_VEC_DATA_LEN_MAX`](sys::CPU_OP_VEC_DATA_LEN_MAX). The vector is as before then.
    pub fn push(&mut self, op: Op<'a>) -> Result<&mut Self, LimitError> {
        let bytes = self.bytes + op.raw.len as usize;

        if self.len == self.ops.len() || bytes > sys::CPU_OP_VEC_DATA_LEN_MAX {
            return Err(LimitError(()));
        }
        self.ops[self.len] = op;
        self.len += 1;
        self.bytes = bytes;
        Ok(self)
    }

    /// Runs the vector on a CPU.
    ///
    /// # Errors
    ///
    /// Those of the system call. No operation has taken effect then.
    pub fn run(&self, cpu: c_int) -> Result<Outcome, Error> {
        // SAFETY: The operands are words that the operations borrow, or the caller of an unsafe
        // constructor has vouched for them.
        self.run_by(|vec, cpu| unsafe { sys::call(vec, cpu) }, cpu)
    }

    fn run_by(
        &self,
        call: impl FnOnce(&[cpu_op], c_int) -> Result<usize, Error>,
        cpu: c_int,
    ) -> Result<Outcome, Error> {
        let mut vec = [cpu_op::barrier(); sys::CPU_OP_VEC_LEN_MAX];
        let ops = &self.ops[..self.len];

        for (raw, op) in vec.iter_mut().zip(ops) {
            *raw = op.lower();
        }
        Ok(match call(&vec[..ops.len()], cpu)? {
            0 => Outcome::Done,
            stopped => Outcome::Stopped(stopped - 1),
        })
    }
}

/// Runs the given operations on a CPU, as one vector.
///
/// That there are not too many of them is checked when the program is compiled. Operations on
/// bytes may exceed the sum of the lengths; a [`Vector`] is for those.
///
/// # Errors
///
/// Those of the system call. No operation has taken effect then.
///
/// # Examples
///
/// ```
/// use cpu_opv::{run, Error, Op};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// let counter = AtomicUsize::new(0);
/// match run([Op::add(&counter, 1)], 0) {
///     Ok(_) => assert_eq!(counter.load(Ordering::Relaxed), 1),
///     Err(error) => assert_eq!(error, Error::Unsupported),
/// }
/// ```
pub fn run<const N: usize>(ops: [Op<'_>; N], cpu: c_int) -> Result<Outcome, Error> {
    const {
        assert!(
            N <= sys::CPU_OP_VEC_LEN_MAX,
            "more operations than a vector can have"
        )
    };
    let mut vector = Vector::new();

    for op in ops {
        if vector.push(op).is_err() {
            return Err(Error::Other(libc::E2BIG));
        }
    }
    vector.run(cpu)
}

/// Returns whether the kernel has the system call.
///
/// # Examples
///
/// ```
/// assert_eq!(cpu_opv::is_available(), cpu_opv::run([], 0).is_ok());
/// ```
pub fn is_available() -> bool {
    // SAFETY: With this flag the other arguments are ignored.
    unsafe {
        sys::cpu_opv(core::ptr::null(), 0, 0, sys::CPU_OP_NR_FLAG) >= sys::NR_CPU_OPS as c_long
    }
}

#[cfg(test)]
mod tests;
