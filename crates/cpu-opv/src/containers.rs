// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Containers of per-CPU data.

mod counter;
mod per_cpu;
mod ring;
mod stack;

pub use counter::Counter;
pub use per_cpu::PerCpu;
pub use ring::{Reserved, Ring};
pub use stack::{Stack, Taken};
