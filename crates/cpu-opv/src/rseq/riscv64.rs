// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Sequences of 64-bit RISC-V.
//!
//! The last store is a release, and the load of the gate an acquire, by fences. Loads of 32 bits
//! extend the sign, and so what they are compared with has its sign extended.

#![allow(clippy::too_many_arguments)]

use core::arch::asm;

use super::{Area, Attempt, ABORTED};

/// What an aborted sequence jumps over: a write to a register that is not the program's.
pub(crate) const SIGNATURE: u32 = 0xf140_1073;

pub(crate) fn thread_pointer() -> *mut u8 {
    let pointer;

    // SAFETY: It reads a register.
    unsafe {
        asm!("mv {}, tp", out(reg) pointer,
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
            core::arch::asm!(concat!(".weak ", $name), ".option push", ".option pic",
                 concat!("la {0}, ", $name), ".option pop",
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
            ".pushsection .data.rel.ro.cpu_opv, \"aw\", @progbits",
            ".balign 32",
            "2:",
            ".word 0, 0",
            ".quad 3f, 4f - 3f, 7f",
            ".popsection",
            "lla {tmp}, 2b",
            "sd {tmp}, 8({area})",
            "3:",
            "lw {tmp}, 4({area})",
            "bne {tmp}, {cpu}, 8f",
            "lw {tmp}, 0({gate})",
            "bnez {tmp}, 8f",
            "fence r, rw",
            $($body,)+
            "4:",
            "li {status}, 0",
            "j 8f",
            "5:",
            "li {status}, 1",
            "j 8f",
            "6:",
            "li {status}, 2",
            "j 8f",
            ".balign 4",
            ".word 0xf1401073",
            "7:",
            "8:",
            "sd zero, 8({area})",
            area = in(reg) $area,
            cpu = in(reg) $cpu as i64,
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
    ($width:ident, $s:literal, $extend:ty) => {
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
                            concat!("l", $s, " {old}, 0({v})"),
                            "add {tmp}, {old}, {count}",
                            "fence rw, w",
                            concat!("s", $s, " {tmp}, 0({v})"),
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
                            concat!("l", $s, " {old}, 0({v})"),
                            "fence rw, w",
                            concat!("s", $s, " {new}, 0({v})"),
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
                            concat!("l", $s, " {tmp}, 0({v})"),
                            "bne {tmp}, {expect}, 5f",
                            "fence rw, w",
                            concat!("s", $s, " {new}, 0({v})"),
                        ],
                        v = in(reg) v, expect = in(reg) expect as $extend as i64, new = in(reg) new,)
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
                            concat!("l", $s, " {tmp}, 0({v})"),
                            "bne {tmp}, {expect}, 5f",
                            concat!("s", $s, " {new2}, 0({v2})"),
                            "fence rw, w",
                            concat!("s", $s, " {new}, 0({v})"),
                        ],
                        v = in(reg) v, expect = in(reg) expect as $extend as i64,
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
                            concat!("l", $s, " {tmp}, 0({v})"),
                            "bne {tmp}, {expect}, 5f",
                            concat!("l", $s, " {tmp}, 0({v2})"),
                            "bne {tmp}, {expect2}, 6f",
                            "fence rw, w",
                            concat!("s", $s, " {new}, 0({v})"),
                        ],
                        v = in(reg) v, expect = in(reg) expect as $extend as i64,
                        v2 = in(reg) v2, expect2 = in(reg) expect2 as $extend as i64, new = in(reg) new,)
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
                            concat!("l", $s, " {tmp}, 0({v})"),
                            "bne {tmp}, {expect}, 5f",
                            "20:",
                            "beqz {len}, 21f",
                            "lb {tmp}, 0({src})",
                            "sb {tmp}, 0({dst})",
                            "addi {src}, {src}, 1",
                            "addi {dst}, {dst}, 1",
                            "addi {len}, {len}, -1",
                            "j 20b",
                            "21:",
                            "fence rw, w",
                            concat!("s", $s, " {new}, 0({v})"),
                        ],
                        v = in(reg) v, expect = in(reg) expect as $extend as i64, new = in(reg) new,
                        dst = inout(reg) dst => _, src = inout(reg) src => _,
                        len = inout(reg) len => _,)
                };

                Attempt::new(status, 0)
            }
        }
    };
}

sequences!(w32, "w", i32);
sequences!(w64, "d", i64);

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
                "ld {tmp}, 0({head})",
                "sd {tmp}, 0({next})",
                "fence rw, w",
                "sd {node}, 0({head})",
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
                "ld {node}, 0({head})",
                "beq {node}, {empty}, 5f",
                "add {tmp}, {node}, {offset}",
                "ld {tmp}, 0({tmp})",
                "fence rw, w",
                "sd {tmp}, 0({head})",
            ],
            head = in(reg) head, empty = in(reg) empty, offset = in(reg) offset,
            node = out(reg) node,)
    };

    Attempt::new(status, node)
}
