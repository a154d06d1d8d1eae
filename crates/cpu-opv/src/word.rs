// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The words that operations work on.

use core::sync::atomic::{
    AtomicI16, AtomicI32, AtomicI8, AtomicIsize, AtomicPtr, AtomicU16, AtomicU32, AtomicU8,
    AtomicUsize,
};
#[cfg(target_pointer_width = "64")]
use core::sync::atomic::{AtomicI64, AtomicU64};

mod sealed {
    pub trait Sealed {}
}

/// An atomic type that the kernel accesses by one load and one store.
///
/// The 64-bit types are words on 64-bit targets only: a 32-bit kernel accesses them in two halves.
///
/// # Examples
///
/// ```
/// use cpu_opv::{Op, Word};
///
/// fn set_if<'a, W: Word>(word: &'a W, old: W::Value, new: W::Value) -> [Op<'a>; 2] {
///     [Op::compare_eq(word, old), Op::store(word, new)]
/// }
/// _ = cpu_opv::run(set_if(&std::sync::atomic::AtomicU8::new(1), 1, 2), 0);
/// ```
pub trait Word: sealed::Sealed + Sync {
    /// The type of the values.
    type Value: Copy;

    /// The size in bytes.
    const BYTES: usize = size_of::<Self::Value>();

    /// Returns the value as the low bits of an integer.
    fn to_bits(value: Self::Value) -> u64;

    /// Returns the value that the low bits of an integer are.
    fn from_bits(bits: u64) -> Self::Value;
}

/// A [`Word`] that is an integer.
///
/// # Examples
///
/// ```
/// use cpu_opv::{Integer, Op};
///
/// fn count<W: Integer>(words: &[W; 2], count: W::Value) -> [Op<'_>; 2] {
///     [Op::add(&words[0], count), Op::add(&words[1], count)]
/// }
/// _ = cpu_opv::run(count(&[1, 2].map(std::sync::atomic::AtomicI16::new), -1), 0);
/// ```
pub trait Integer: Word {}

/// A [`Word`] that the per-CPU operations work on: of 32 bits, or of the size of a pointer.
///
/// # Examples
///
/// ```
/// use cpu_opv::{Error, Ops, PerCpuWord};
///
/// fn exchange<W: PerCpuWord>(words: &[W], new: W::Value) -> Result<W::Value, Error> {
///     let cpu = cpu_opv::current_cpu();
///     Ops::private().swap(&words[cpu as usize % words.len()], new, cpu)
/// }
/// # #[cfg(feature = "std")]
/// assert_eq!(exchange(&[std::sync::atomic::AtomicI32::new(1)], 2), Ok(1));
/// ```
pub trait PerCpuWord: Word {}

macro_rules! integer {
    ($($atomic:ident $value:ident;)*) => {$(
        impl sealed::Sealed for $atomic {}

        impl Word for $atomic {
            type Value = $value;

            fn to_bits(value: $value) -> u64 {
                value as u64
            }

            fn from_bits(bits: u64) -> $value {
                bits as $value
            }
        }

        impl Integer for $atomic {}
    )*};
}

integer! {
    AtomicU8 u8;
    AtomicI8 i8;
    AtomicU16 u16;
    AtomicI16 i16;
    AtomicU32 u32;
    AtomicI32 i32;
    AtomicUsize usize;
    AtomicIsize isize;
}
#[cfg(target_pointer_width = "64")]
integer! {
    AtomicU64 u64;
    AtomicI64 i64;
}

impl<T> sealed::Sealed for AtomicPtr<T> {}

impl<T> Word for AtomicPtr<T> {
    type Value = *mut T;

    fn to_bits(value: *mut T) -> u64 {
        value.expose_provenance() as u64
    }

    fn from_bits(bits: u64) -> *mut T {
        core::ptr::with_exposed_provenance_mut(bits as usize)
    }
}

impl PerCpuWord for AtomicU32 {}
impl PerCpuWord for AtomicI32 {}
impl PerCpuWord for AtomicUsize {}
impl PerCpuWord for AtomicIsize {}
impl<T> PerCpuWord for AtomicPtr<T> {}
#[cfg(target_pointer_width = "64")]
impl PerCpuWord for AtomicU64 {}
#[cfg(target_pointer_width = "64")]
impl PerCpuWord for AtomicI64 {}

/// Returns the address of a word or of other memory, as the kernel takes it.
pub(crate) fn address<T: ?Sized>(operand: *const T) -> u64 {
    operand.cast::<u8>().expose_provenance() as u64
}
