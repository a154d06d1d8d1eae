// SPDX-License-Identifier: GPL-2.0 OR MIT

#![cfg_attr(feature = "std", doc = include_str!("../README.md"))]
//!
//! # The call
//!
//! [`run`], [`Op`] and [`Vector`] are the system call `cpu_opv()`, which runs a short vector of
//! operations on one CPU with preemption disabled. This layer needs neither `std` nor `alloc`, and
//! the kernel has to have the call.

#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![deny(rustdoc::broken_intra_doc_links)]

#[cfg(feature = "capi")]
pub mod capi;
#[cfg(feature = "std")]
mod containers;
mod error;
#[cfg(feature = "std")]
mod gate;
#[cfg(feature = "std")]
mod percpu;
#[cfg(feature = "std")]
mod rseq;
/// What the gate is made of.
#[cfg(feature = "std")]
mod sync {
    pub(crate) use core::sync::atomic::{fence, AtomicU32, Ordering};
}
pub mod sys;
#[cfg(feature = "std")]
mod thread;
#[cfg(feature = "std")]
mod tier;
mod vector;
mod word;

#[cfg(feature = "std")]
pub use containers::{Counter, PerCpu, Reserved, Ring, Stack, Taken};
pub use error::Error;
#[cfg(feature = "std")]
pub use percpu::{Link, List, Mismatch, Ops};
#[cfg(feature = "std")]
pub use tier::{counts, current_cpu, nr_cpus, start, tiers, Counts, Tiers};
pub use vector::{is_available, run, LimitError, Op, Outcome, Vector};
pub use word::{Integer, PerCpuWord, Word};
