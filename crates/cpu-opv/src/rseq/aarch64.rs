// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Sequences of arm64, little-endian.
//!
//! The last store is a release, and the load of the gate an acquire.

#![allow(clippy::too_many_arguments)]

use core::arch::asm;

use super::{Area, Attempt, ABORTED};

/// What an aborted sequence jumps over: a breakpoint with this number.
pub(crate) const SIGNATURE: u32 = 0xd428_bc00;

pub(crate) fn thread_pointer() -> *mut u8 {
    let pointer;

    // SAFETY: It reads a register.
    unsafe {
        asm!("mrs {}, tpidr_el0", out(reg) pointer,
             options(nostack, preserves_flags, nomem));
    }
    pointer
}

/// Returns the address of a variable of the C library, null if it has none of that name.
macro_rules! weak {
    ($name:literal) => {{
        let address: *const u8;

        // SAFETY: It loads the address from the global offset table.
        unsafe {
            core::arch::asm!(concat!(".weak ", $name), concat!("adrp {0}, :got:", $name),
                 concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
                 out(reg) address, options(nostack, preserves_flags, readonly));
        }
        address
    }};
}
pub(crate) use weak;

// Labels: 2 is the descriptor, 3 the start, 4 after the commit, 5 and 6 where the first and the
// second comparison fail, 7 where an abort goes on, 8 the end.
macro_rules! sequence {
    ($area:ident, $cpu:ident, $gate:ident, [$($body:expr),+ $(,)?], $($operands:tt)*) => {{
        let mut status: u64 = ABORTED;

        asm!(
            ".pushsection .data.rel.ro.cpu_opv, \"aw\", %progbits",
            ".balign 32",
            "2:",
            ".word 0, 0",
            ".xword 3f, 4f - 3f, 7f",
            ".popsection",
            "adrp {tmp}, 2b",
            "add {tmp}, {tmp}, :lo12:2b",
            "str {tmp}, [{area}, #8]",
            "3:",
            "ldr {tmp:w}, [{area}, #4]",
            "cmp {tmp:w}, {cpu:w}",
            "b.ne 8f",
            "ldar {tmp:w}, [{gate}]",
            "cbnz {tmp:w}, 8f",
            $($body,)+
            "4:",
            "mov {status}, #0",
            "b 8f",
            "5:",
            "mov {status}, #1",
            "b 8f",
            "6:",
            "mov {status}, #2",
            "b 8f",
            ".inst 0xd428bc00",
            "7:",
            "8:",
            "str xzr, [{area}, #8]",
            area = in(reg) $area,
            cpu = in(reg) $cpu,
            gate = in(reg) $gate,
            tmp = out(reg) _,
            status = inout(reg) status,
            $($operands)*
            options(nostack),
        );
        status
    }};
}

macro_rules! sequences {
    ($width:ident, $m:literal) => {
        pub(crate) mod $width {
            use super::*;

            pub(crate) unsafe fn add(
                area: *mut Area, cpu: i32, gate: *const u32, v: *mut u8, count: u64,
            ) -> Attempt {
                // SAFETY: As the caller vouches.
                unsafe { fetch_add(area, cpu, gate, v, count) }
            }

            pub(crate) unsafe fn fetch_add(
                area: *mut Area, cpu: i32, gate: *const u32, v: *mut u8, count: u64,
            ) -> Attempt {
                let old: u64;
                // SAFETY: As the caller vouches.
                let status = unsafe {
                    sequence!(area, cpu, gate,
                        [
                            concat!("ldr {old", $m, "}, [{v}]"),
                            concat!("add {tmp", $m, "}, {old", $m, "}, {count", $m, "}"),
                            concat!("stlr {tmp", $m, "}, [{v}]"),
                        ],
                        v = in(reg) v, count = in(reg) count, old = out(reg) old,)
                };

                Attempt::new(status, old)
            }

            pub(crate) unsafe fn swap(
                area: *mut Area, cpu: i32, gate: *const u32, v: *mut u8, new: u64,
            ) -> Attempt {
                let old: u64;
                // SAFETY: As the caller vouches.
                let status = unsafe {
                    sequence!(area, cpu, gate,
                        [
                            concat!("ldr {old", $m, "}, [{v}]"),
                            concat!("stlr {new", $m, "}, [{v}]"),
                        ],
                        v = in(reg) v, new = in(reg) new, old = out(reg) old,)
                };

                Attempt::new(status, old)
            }

            pub(crate) unsafe fn compare_store(
                area: *mut Area, cpu: i32, gate: *const u32, v: *mut u8, expect: u64, new: u64,
            ) -> Attempt {
                // SAFETY: As the caller vouches.
                let status = unsafe {
                    sequence!(area, cpu, gate,
                        [
                            concat!("ldr {tmp", $m, "}, [{v}]"),
                            concat!("cmp {tmp", $m, "}, {expect", $m, "}"),
                            "b.ne 5f",
                            concat!("stlr {new", $m, "}, [{v}]"),
                        ],
                        v = in(reg) v, expect = in(reg) expect, new = in(reg) new,)
                };

                Attempt::new(status, 0)
            }

            pub(crate) unsafe fn compare_store_store(
                area: *mut Area, cpu: i32, gate: *const u32,
                v: *mut u8, expect: u64, v2: *mut u8, new2: u64, new: u64,
            ) -> Attempt {
                // SAFETY: As the caller vouches.
                let status = unsafe {
                    sequence!(area, cpu, gate,
                        [
                            concat!("ldr {tmp", $m, "}, [{v}]"),
                            concat!("cmp {tmp", $m, "}, {expect", $m, "}"),
                            "b.ne 5f",
                            concat!("str {new2", $m, "}, [{v2}]"),
                            concat!("stlr {new", $m, "}, [{v}]"),
                        ],
                        v = in(reg) v, expect = in(reg) expect,
                        v2 = in(reg) v2, new2 = in(reg) new2, new = in(reg) new,)
                };

                Attempt::new(status, 0)
            }

            pub(crate) unsafe fn compare_compare_store(
                area: *mut Area, cpu: i32, gate: *const u32,
                v: *mut u8, expect: u64, v2: *const u8, expect2: u64, new: u64,
            ) -> Attempt {
                // SAFETY: As the caller vouches.
                let status = unsafe {
                    sequence!(area, cpu, gate,
                        [
                            concat!("ldr {tmp", $m, "}, [{v}]"),
                            concat!("cmp {tmp", $m, "}, {expect", $m, "}"),
                            "b.ne 5f",
                            concat!("ldr {tmp", $m, "}, [{v2}]"),
                            concat!("cmp {tmp", $m, "}, {expect2", $m, "}"),
                            "b.ne 6f",
                            concat!("stlr {new", $m, "}, [{v}]"),
                        ],
                        v = in(reg) v, expect = in(reg) expect,
                        v2 = in(reg) v2, expect2 = in(reg) expect2, new = in(reg) new,)
                };

                Attempt::new(status, 0)
            }

            pub(crate) unsafe fn compare_copy_store(
                area: *mut Area, cpu: i32, gate: *const u32,
                v: *mut u8, expect: u64, dst: *mut u8, src: *const u8, len: usize, new: u64,
            ) -> Attempt {
                // SAFETY: As the caller vouches.
                let status = unsafe {
                    sequence!(area, cpu, gate,
                        [
                            concat!("ldr {tmp", $m, "}, [{v}]"),
                            concat!("cmp {tmp", $m, "}, {expect", $m, "}"),
                            "b.ne 5f",
                            "20:",
                            "cmp {len}, #8",
                            "b.lo 21f",
                            "ldr {tmp}, [{src}], #8",
                            "str {tmp}, [{dst}], #8",
                            "sub {len}, {len}, #8",
                            "b 20b",
                            "21:",
                            "cbz {len}, 22f",
                            "ldrb {tmp:w}, [{src}], #1",
                            "strb {tmp:w}, [{dst}], #1",
                            "sub {len}, {len}, #1",
                            "b 21b",
                            "22:",
                            concat!("stlr {new", $m, "}, [{v}]"),
                        ],
                        v = in(reg) v, expect = in(reg) expect, new = in(reg) new,
                        dst = inout(reg) dst => _, src = inout(reg) src => _,
                        len = inout(reg) len => _,)
                };

                Attempt::new(status, 0)
            }
        }
    };
}

sequences!(w32, ":w");
sequences!(w64, "");

pub(crate) unsafe fn push(
    area: *mut Area,
    cpu: i32,
    gate: *const u32,
    head: *mut u8,
    next: *mut u8,
    node: u64,
) -> Attempt {
    // SAFETY: As the caller vouches.
    let status = unsafe {
        sequence!(area, cpu, gate,
            [
                "ldr {tmp}, [{head}]",
                "str {tmp}, [{next}]",
                "stlr {node}, [{head}]",
            ],
            head = in(reg) head, next = in(reg) next, node = in(reg) node,)
    };

    Attempt::new(status, 0)
}

pub(crate) unsafe fn pop(
    area: *mut Area,
    cpu: i32,
    gate: *const u32,
    head: *mut u8,
    empty: u64,
    offset: isize,
) -> Attempt {
    let node: u64;
    // SAFETY: As the caller vouches.
    let status = unsafe {
        sequence!(area, cpu, gate,
            [
                "ldr {node}, [{head}]",
                "cmp {node}, {empty}",
                "b.eq 5f",
                "ldr {tmp}, [{node}, {offset}]",
                "stlr {tmp}, [{head}]",
            ],
            head = in(reg) head, empty = in(reg) empty, offset = in(reg) offset,
            node = out(reg) node,)
    };

    Attempt::new(status, node)
}
