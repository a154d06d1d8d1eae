// SPDX-License-Identifier: GPL-2.0

//! The pure modules of `cpu_opv()`, compiled as they are, and tested on the host.
//!
//! Their own unit tests, which are KUnit tests in the kernel, run here too. The properties are
//! checked on random vectors against models that share no code with the modules.

#![cfg(test)]

// Some of what the modules offer is used by the rest of the kernel's only.
#[allow(dead_code)]
#[path = "../../../rust/kernel/cpu_opv/op.rs"]
mod op;
#[allow(dead_code)]
#[path = "../../../rust/kernel/cpu_opv/plan.rs"]
mod plan;
#[allow(dead_code)]
#[path = "../../../rust/kernel/cpu_opv/run.rs"]
mod run;

mod model;
mod properties;

/// What the modules use of the kernel's `page` module.
mod page {
    pub(crate) const PAGE_SIZE: usize = 4096;
}

/// The header of the system call, as bindgen sees it.
#[allow(dead_code, non_camel_case_types, non_upper_case_globals)]
mod uapi {
    include!(concat!(env!("OUT_DIR"), "/uapi.rs"));
}
