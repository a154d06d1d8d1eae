// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Sequences of x86-64.
//!
//! A store is never ordered before an earlier load or store, so each of them is a release, and the
//! load of the gate an acquire.

#![allow(clippy::too_many_arguments)]

use core::arch::asm;

use super::{Area, Attempt, ABORTED};

/// What an aborted sequence jumps over: an undefined instruction with this operand.
pub(crate) const SIGNATURE: u32 = 0x5305_3053;

pub(crate) fn thread_pointer() -> *mut u8 {
    let pointer;

    // SAFETY: The first word of the thread control block is its own address.
    unsafe {
        asm!("movq %fs:0, {}", out(reg) pointer,
             options(att_syntax, nostack, preserves_flags, readonly));
    }
    pointer
}

/// Returns the address of a variable of the C library, null if it has none of that name.
macro_rules! weak {
    ($name:literal) => {{
        let address: *const u8;

        // SAFETY: It loads the address from the global offset table.
        unsafe {
            core::arch::asm!(concat!(".weak ", $name), concat!("movq ", $name, "@GOTPCREL(%rip), {}"),
                 out(reg) address, options(att_syntax, nostack, preserves_flags, readonly));
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
            ".long 0, 0",
            ".quad 3f, 4f - 3f, 7f",
            ".popsection",
            "leaq 2b(%rip), {tmp}",
            "movq {tmp}, 8({area})",
            "3:",
            "cmpl {cpu:e}, 4({area})",
            "jne 8f",
            "cmpl $0, ({gate})",
            "jne 8f",
            $($body,)+
            "4:",
            "xorl {status:e}, {status:e}",
            "jmp 8f",
            "5:",
            "movl $1, {status:e}",
            "jmp 8f",
            "6:",
            "movl $2, {status:e}",
            "jmp 8f",
            ".byte 0x0f, 0xb9, 0x3d",
            ".long 0x53053053",
            "7:",
            "8:",
            "movq $0, 8({area})",
            area = in(reg) $area,
            cpu = in(reg) $cpu,
            gate = in(reg) $gate,
            tmp = out(reg) _,
            status = inout(reg) status,
            $($operands)*
            options(att_syntax, nostack),
        );
        status
    }};
}

macro_rules! sequences {
    ($width:ident, $s:literal, $m:literal) => {
        pub(crate) mod $width {
            use super::*;

            pub(crate) unsafe fn add(
                area: *mut Area, cpu: i32, gate: *const u32, v: *mut u8, count: u64,
            ) -> Attempt {
                // SAFETY: As the caller vouches.
                let status = unsafe {
                    sequence!(area, cpu, gate, [concat!("add", $s, " {count", $m, "}, ({v})")],
                        v = in(reg) v, count = in(reg) count,)
                };

                Attempt::new(status, 0)
            }

            pub(crate) unsafe fn fetch_add(
                area: *mut Area, cpu: i32, gate: *const u32, v: *mut u8, count: u64,
            ) -> Attempt {
                let old: u64;
                // SAFETY: As the caller vouches.
                let status = unsafe {
                    sequence!(area, cpu, gate,
                        [
                            concat!("mov", $s, " ({v}), {old", $m, "}"),
                            concat!("lea", $s, " ({old}, {count}), {tmp", $m, "}"),
                            concat!("mov", $s, " {tmp", $m, "}, ({v})"),
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
                            concat!("mov", $s, " ({v}), {old", $m, "}"),
                            concat!("mov", $s, " {new", $m, "}, ({v})"),
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
                            concat!("cmp", $s, " {expect", $m, "}, ({v})"),
                            "jne 5f",
                            concat!("mov", $s, " {new", $m, "}, ({v})"),
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
                            concat!("cmp", $s, " {expect", $m, "}, ({v})"),
                            "jne 5f",
                            concat!("mov", $s, " {new2", $m, "}, ({v2})"),
                            concat!("mov", $s, " {new", $m, "}, ({v})"),
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
                            concat!("cmp", $s, " {expect", $m, "}, ({v})"),
                            "jne 5f",
                            concat!("cmp", $s, " {expect2", $m, "}, ({v2})"),
                            "jne 6f",
                            concat!("mov", $s, " {new", $m, "}, ({v})"),
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
                            concat!("cmp", $s, " {expect", $m, "}, ({v})"),
                            "jne 5f",
                            "20:",
                            "cmpq $8, {len}",
                            "jb 21f",
                            "movq ({src}), {tmp}",
                            "movq {tmp}, ({dst})",
                            "addq $8, {src}",
                            "addq $8, {dst}",
                            "subq $8, {len}",
                            "jmp 20b",
                            "21:",
                            "testq {len}, {len}",
                            "jz 22f",
                            "movb ({src}), {tmp:l}",
                            "movb {tmp:l}, ({dst})",
                            "incq {src}",
                            "incq {dst}",
                            "decq {len}",
                            "jmp 21b",
                            "22:",
                            concat!("mov", $s, " {new", $m, "}, ({v})"),
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

sequences!(w32, "l", ":e");
sequences!(w64, "q", "");

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
                "movq ({head}), {tmp}",
                "movq {tmp}, ({next})",
                "movq {node}, ({head})",
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
                "movq ({head}), {node}",
                "cmpq {empty}, {node}",
                "je 5f",
                "movq ({node}, {offset}), {tmp}",
                "movq {tmp}, ({head})",
            ],
            head = in(reg) head, empty = in(reg) empty, offset = in(reg) offset,
            node = out(reg) node,)
    };

    Attempt::new(status, node)
}
