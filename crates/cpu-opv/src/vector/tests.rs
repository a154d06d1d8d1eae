// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The builders against a mock of the system call.

use core::mem::offset_of;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU16, AtomicU32, AtomicU8, AtomicUsize};

use super::*;
use crate::sys::{arithmetic_op, bitwise_op, compare_op, memcpy_op, shift_op};

/// Returns what the system call gets for one operation.
fn lowered<R>(op: Op<'_>, look: impl FnOnce(&cpu_op) -> R) -> R {
    let mut vector = Vector::new();
    let mut result = None;

    vector.push(op).unwrap();
    let outcome = vector.run_by(
        |vec, cpu| {
            assert_eq!((vec.len(), cpu), (1, 7));
            result = Some(look(&vec[0]));
            Ok(0)
        },
        7,
    );
    assert_eq!(outcome, Ok(Outcome::Done));
    result.unwrap()
}

#[test]
fn layout() {
    assert_eq!(size_of::<cpu_op>(), 32);
    assert_eq!((offset_of!(cpu_op, op), offset_of!(cpu_op, len)), (0, 4));
    assert_eq!(
        (offset_of!(compare_op, a), offset_of!(compare_op, b)),
        (0, 8)
    );
    assert_eq!(offset_of!(compare_op, expect_fault_a), 16);
    assert_eq!(offset_of!(compare_op, expect_fault_b), 17);
    assert_eq!(
        (offset_of!(memcpy_op, dst), offset_of!(memcpy_op, src)),
        (0, 8)
    );
    assert_eq!(offset_of!(memcpy_op, expect_fault_dst), 16);
    assert_eq!(offset_of!(memcpy_op, expect_fault_src), 17);
    assert_eq!(
        (
            offset_of!(arithmetic_op, p),
            offset_of!(arithmetic_op, count)
        ),
        (0, 8)
    );
    assert_eq!(offset_of!(arithmetic_op, expect_fault_p), 16);
    assert_eq!(
        (offset_of!(bitwise_op, p), offset_of!(bitwise_op, mask)),
        (0, 8)
    );
    assert_eq!(offset_of!(bitwise_op, expect_fault_p), 16);
    assert_eq!(
        (offset_of!(shift_op, p), offset_of!(shift_op, bits)),
        (0, 8)
    );
    assert_eq!(offset_of!(shift_op, expect_fault_p), 12);
}

#[test]
fn arithmetic() {
    let word = AtomicI32::new(0);

    for (op, kind) in [
        (Op::add(&word, -5), sys::CPU_ADD_OP),
        (Op::add_release(&word, -5), sys::CPU_ADD_RELEASE_OP),
    ] {
        lowered(op, |raw| {
            assert_eq!((raw.op, raw.len), (kind, 4));
            // SAFETY: The operation is an addition.
            let u = unsafe { raw.u.arithmetic_op };
            assert_eq!((u.p, u.count, u.expect_fault_p), (address(&word), -5, 0));
        });
    }
}

#[test]
fn bitwise() {
    let word = AtomicU16::new(0);

    for (op, kind) in [
        (Op::or(&word, 0xf0f0), sys::CPU_OR_OP),
        (Op::and(&word, 0xf0f0), sys::CPU_AND_OP),
        (Op::xor(&word, 0xf0f0), sys::CPU_XOR_OP),
    ] {
        lowered(op, |raw| {
            assert_eq!((raw.op, raw.len), (kind, 2));
            // SAFETY: The operation is a bitwise one.
            let u = unsafe { raw.u.bitwise_op };
            assert_eq!((u.p, u.mask, u.expect_fault_p), (address(&word), 0xf0f0, 0));
        });
    }
}

#[test]
fn shifts() {
    let word = AtomicU8::new(0);

    for (op, kind) in [
        (Op::shift_left(&word, 7), sys::CPU_LSHIFT_OP),
        (Op::shift_right(&word, 7), sys::CPU_RSHIFT_OP),
    ] {
        lowered(op, |raw| {
            assert_eq!((raw.op, raw.len), (kind, 1));
            // SAFETY: The operation is a shift.
            let u = unsafe { raw.u.shift_op };
            assert_eq!((u.p, u.bits, u.expect_fault_p), (address(&word), 7, 0));
        });
    }
    // The system call would refuse it.
    for op in [Op::shift_left(&word, 8), Op::shift_right(&word, u32::MAX)] {
        lowered(op, |raw| {
            assert_eq!((raw.op, raw.len), (sys::CPU_AND_OP, 1));
            // SAFETY: The operation is a bitwise one.
            assert_eq!(unsafe { raw.u.bitwise_op }.mask, 0);
        });
    }
}

#[test]
fn own_values() {
    let word = AtomicU32::new(0);

    lowered(Op::compare_eq(&word, 0x0102_0304), |raw| {
        assert_eq!((raw.op, raw.len), (sys::CPU_COMPARE_EQ_OP, 4));
        // SAFETY: The operation is a comparison, whose second operand is the value's own.
        let (u, value) = unsafe { (raw.u.compare_op, *(raw.u.compare_op.b as *const u32)) };
        assert_eq!((u.a, value), (address(&word), 0x0102_0304));
    });
    lowered(Op::compare_ne(&word, 9), |raw| {
        assert_eq!(raw.op, sys::CPU_COMPARE_NE_OP);
    });
    for (op, kind) in [
        (Op::store(&word, 0x0102_0304), sys::CPU_MEMCPY_OP),
        (
            Op::store_release(&word, 0x0102_0304),
            sys::CPU_MEMCPY_RELEASE_OP,
        ),
    ] {
        lowered(op, |raw| {
            assert_eq!((raw.op, raw.len), (kind, 4));
            // SAFETY: The operation is a copy, whose source is the value's own.
            let (u, value) = unsafe { (raw.u.memcpy_op, *(raw.u.memcpy_op.src as *const u32)) };
            assert_eq!((u.dst, value), (address(&word), 0x0102_0304));
        });
    }
}

#[test]
fn pointers() {
    let mut target = 3u8;
    let word = AtomicPtr::new(core::ptr::null_mut());

    lowered(Op::store(&word, &mut target), |raw| {
        assert_eq!(raw.len as usize, size_of::<usize>());
        // SAFETY: The operation is a copy, whose source is the value's own.
        let value = unsafe { *(raw.u.memcpy_op.src as *const *mut u8) };
        assert_eq!(value, &raw mut target);
    });
}

#[test]
fn words() {
    let (a, b) = (AtomicUsize::new(0), AtomicUsize::new(0));

    for (op, kind) in [
        (Op::compare_eq_words(&a, &b), sys::CPU_COMPARE_EQ_OP),
        (Op::compare_ne_words(&a, &b), sys::CPU_COMPARE_NE_OP),
    ] {
        lowered(op, |raw| {
            // SAFETY: The operation is a comparison.
            let u = unsafe { raw.u.compare_op };
            assert_eq!((raw.op, u.a, u.b), (kind, address(&a), address(&b)));
        });
    }
    for (op, kind, fault) in [
        (Op::copy(&a, &b), sys::CPU_MEMCPY_OP, 0),
        (Op::copy_release(&a, &b), sys::CPU_MEMCPY_RELEASE_OP, 0),
        // SAFETY: The source is a word.
        (unsafe { Op::copy_from(&a, &b) }, sys::CPU_MEMCPY_OP, 1),
    ] {
        lowered(op, |raw| {
            // SAFETY: The operation is a copy.
            let u = unsafe { raw.u.memcpy_op };
            assert_eq!((raw.op, u.dst, u.src), (kind, address(&a), address(&b)));
            assert_eq!((u.expect_fault_dst, u.expect_fault_src), (0, fault));
        });
    }
    lowered(Op::barrier(), |raw| {
        assert_eq!((raw.op, raw.len), (sys::CPU_MB_OP, 0));
    });
}

#[test]
fn limit_of_operations() {
    let mut vector = Vector::new();

    for _ in 0..sys::CPU_OP_VEC_LEN_MAX {
        vector.push(Op::barrier()).unwrap();
    }
    assert_eq!(vector.push(Op::barrier()).err(), Some(LimitError(())));
    assert_eq!(vector.len, sys::CPU_OP_VEC_LEN_MAX);
}

#[test]
fn limit_of_bytes() {
    let word = AtomicUsize::new(0);
    let null = core::ptr::null_mut::<c_void>();
    // SAFETY: The vectors are never run.
    let copy = |len| unsafe { Op::copy_bytes(null, null, len) };
    // SAFETY: As above.
    let compare = |len| unsafe { Op::compare_bytes(true, null, null, len) };
    let mut vector = Vector::new();

    assert!(copy(sys::CPU_OP_DATA_LEN_MAX + 1).is_err());
    assert!(compare(sys::CPU_OP_DATA_LEN_MAX + 1).is_err());
    vector
        .push(copy(sys::CPU_OP_DATA_LEN_MAX).unwrap())
        .unwrap();
    assert!(vector.push(compare(121).unwrap()).is_err());
    vector.push(compare(113).unwrap()).unwrap();
    vector.push(compare(7).unwrap()).unwrap();
    assert!(vector.push(Op::add(&word, 1)).is_err());
    vector.push(Op::barrier()).unwrap();
    assert_eq!(vector.bytes, sys::CPU_OP_VEC_DATA_LEN_MAX);
}

#[test]
fn outcomes_and_errors() {
    let vector = Vector::new();

    assert_eq!(vector.run_by(|_, _| Ok(0), 0), Ok(Outcome::Done));
    assert_eq!(vector.run_by(|_, _| Ok(16), 0), Ok(Outcome::Stopped(15)));
    for (errno, error) in [
        (libc::EAGAIN, Error::Again),
        (libc::EBUSY, Error::Busy),
        (libc::EFAULT, Error::Fault),
        (libc::EINVAL, Error::Cpu),
        (libc::ENOMEM, Error::NoMemory),
        (libc::ENOSYS, Error::Unsupported),
        (libc::EPERM, Error::Other(libc::EPERM)),
    ] {
        assert_eq!(Error::from_errno(errno), error);
        assert_eq!(error.errno(), errno);
        assert_eq!(
            vector.run_by(|_, _| Err(Error::from_errno(errno)), 0),
            Err(error)
        );
    }
}

/// Where the kernel has the call, it does what the mock lets pass; elsewhere it says so.
#[test]
fn kernel() {
    let (word, found) = (AtomicUsize::new(40), AtomicUsize::new(0));
    let outcome = run(
        [
            Op::compare_eq(&word, 40),
            Op::add(&word, 2),
            Op::copy(&found, &word),
            Op::compare_ne(&word, 42),
            Op::store(&word, 0),
        ],
        0,
    );

    if is_available() {
        assert_eq!(outcome, Ok(Outcome::Stopped(3)));
        assert_eq!((word.into_inner(), found.into_inner()), (42, 42));
    } else {
        assert_eq!(outcome, Err(Error::Unsupported));
        assert_eq!((word.into_inner(), found.into_inner()), (40, 0));
    }
}
