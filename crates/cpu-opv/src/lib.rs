// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Per-CPU operations for Linux.
//!
//! # Layers
//!
//! - The call: [`run`], [`Op`] and [`Vector`] are the system call `cpu_opv()`, which runs a short
//!   vector of operations on one CPU with preemption disabled. This layer needs neither `std` nor
//!   `alloc`, and the kernel has to have the call.

#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![deny(rustdoc::broken_intra_doc_links)]

mod error;
pub mod sys;
mod vector;
mod word;

pub use error::Error;
pub use vector::{is_available, run, LimitError, Op, Outcome, Vector};
pub use word::{Integer, PerCpuWord, Word};
