// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Why a call fails.

use core::ffi::c_int;
use core::fmt;

/// Why a vector did not run. Whatever the reason, none of its operations has taken effect.
///
/// # Examples
///
/// ```
/// use cpu_opv::Error;
///
/// let error = Error::from_errno(libc::EFAULT);
/// assert_eq!(error, Error::Fault);
/// assert_eq!(error.errno(), libc::EFAULT);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The kernel does not have the system call (`ENOSYS`).
    Unsupported,
    /// The CPU is not possible, or it is online and outside the caller's affinity (`EINVAL`).
    Cpu,
    /// An operand is not accessible (`EFAULT`).
    Fault,
    /// An operand that was marked as expected to fault is not accessible (`EAGAIN`).
    Again,
    /// The CPU is online but not active, for as long as hotplug is held there (`EBUSY`).
    Busy,
    /// The kernel is out of memory (`ENOMEM`).
    NoMemory,
    /// The kernel has neither the system call nor the membarrier() that fences sequences, which is
    /// there since Linux 5.10 (`ENOSYS`): see [`start`](crate::start).
    #[cfg(feature = "std")]
    Unfenced,
    /// Another error, such as that of a filter of system calls.
    Other(c_int),
}

impl Error {
    /// Returns the error of that number.
    pub fn from_errno(errno: c_int) -> Self {
        match errno {
            libc::ENOSYS => Error::Unsupported,
            libc::EINVAL => Error::Cpu,
            libc::EFAULT => Error::Fault,
            libc::EAGAIN => Error::Again,
            libc::EBUSY => Error::Busy,
            libc::ENOMEM => Error::NoMemory,
            other => Error::Other(other),
        }
    }

    /// Returns the number of the error.
    pub fn errno(self) -> c_int {
        match self {
            Error::Unsupported => libc::ENOSYS,
            #[cfg(feature = "std")]
            Error::Unfenced => libc::ENOSYS,
            Error::Cpu => libc::EINVAL,
            Error::Fault => libc::EFAULT,
            Error::Again => libc::EAGAIN,
            Error::Busy => libc::EBUSY,
            Error::NoMemory => libc::ENOMEM,
            Error::Other(errno) => errno,
        }
    }

    pub(crate) fn last() -> Self {
        // SAFETY: It returns the address of the thread's own `errno`.
        Self::from_errno(unsafe { *libc::__errno_location() })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unsupported => f.write_str("the kernel does not have cpu_opv()"),
            Error::Cpu => f.write_str("the CPU is not possible, or not allowed for this thread"),
            Error::Fault => f.write_str("an operand is not accessible"),
            Error::Again => f.write_str("an operand is not accessible, as was expected"),
            Error::Busy => f.write_str("the CPU is online but not active"),
            Error::NoMemory => f.write_str("the kernel is out of memory"),
            #[cfg(feature = "std")]
            Error::Unfenced => f.write_str(
                "the kernel has neither cpu_opv() nor membarrier() for restartable sequences, \
                 so that every operation takes a lock",
            ),
            Error::Other(errno) => write!(f, "error {errno} of cpu_opv()"),
        }
    }
}

impl core::error::Error for Error {}
