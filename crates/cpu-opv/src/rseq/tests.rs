// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The instructions of the sequences, with an area that the kernel does not know: what an emulator
//! without rseq can run, too.

use core::sync::atomic::Ordering::Relaxed;

use super::*;

const CPU: i32 = 7;

fn area() -> Area {
    Area {
        _cpu_id_start: AtomicU32::new(CPU as u32),
        cpu_id: AtomicI32::new(CPU),
        _rseq_cs: AtomicU64::new(0),
        _flags: AtomicU32::new(0),
        _later: [const { AtomicU32::new(0) }; 3],
    }
}

/// Runs a sequence that must do nothing on another CPU and with the gate closed, and then as it has
/// to. `words` are what it works on.
fn run<const N: usize>(
    words: [u64; N],
    sequence: impl Fn(*mut Area, i32, *const u32, *mut [u64; N]) -> Attempt,
) -> (Attempt, [u64; N]) {
    let mut area = area();
    let (open, closed) = (0u32, 1u32);
    let mut after = words;
    let mut call = |cpu, gate: &u32, words: &mut [u64; N]| {
        let attempt = sequence(&mut area, cpu, gate, words);
        assert_eq!(
            area._rseq_cs.load(Relaxed),
            0,
            "the descriptor is still there"
        );
        attempt
    };

    assert_eq!(call(CPU + 1, &open, &mut after), Attempt::Aborted);
    assert_eq!(call(-1, &open, &mut after), Attempt::Aborted);
    assert_eq!(call(CPU, &closed, &mut after), Attempt::Aborted);
    assert_eq!(after, words);
    let attempt = call(CPU, &open, &mut after);
    (attempt, after)
}

fn at<const N: usize>(words: *mut [u64; N], index: usize) -> *mut u8 {
    words.cast::<u64>().wrapping_add(index).cast()
}

/// Calls a sequence with operands that are valid.
macro_rules! sequence {
    ($name:path, $words:ident => $($operand:expr),*) => {
        |area, cpu, gate, $words| {
            // SAFETY: The operands are words of the test's own.
            unsafe { $name(area, cpu, gate, $($operand),*) }
        }
    };
}

const MINUS_ONE: u64 = u64::MAX;
/// Where only the low half of a word is worked on, the high one stays.
const HIGH: u64 = 0xdead_beef << 32;

#[test]
fn additions() {
    let done = |words| (Attempt::Done(0), words);

    assert_eq!(run([40], sequence!(w64::add, w => at(w, 0), 2)).1, [42]);
    assert_eq!(
        run([1], sequence!(w64::fetch_add, w => at(w, 0), MINUS_ONE)),
        (Attempt::Done(1), [0])
    );
    assert_eq!(
        run([0], sequence!(w64::fetch_add, w => at(w, 0), MINUS_ONE)),
        done([MINUS_ONE])
    );
    if cfg!(target_endian = "little") {
        let low = HIGH | 0xffff_ffff;
        assert_eq!(
            run([low], sequence!(w32::add, w => at(w, 0), 3)).1,
            [HIGH | 2]
        );
        assert_eq!(
            run([HIGH], sequence!(w32::fetch_add, w => at(w, 0), 3)),
            done([HIGH | 3])
        );
    }
}

#[test]
fn swaps() {
    assert_eq!(
        run([9], sequence!(w64::swap, w => at(w, 0), 5)),
        (Attempt::Done(9), [5])
    );
    assert_eq!(
        run([HIGH | 9], sequence!(w32::swap, w => at(w, 0), 5)),
        (Attempt::Done(9), [HIGH | 5])
    );
}

#[test]
fn comparisons() {
    for high in [0, HIGH] {
        // A value of 32 bits is given with its sign extended, as that of an `AtomicI32` is.
        let wide = high == 0;
        let word = if wide { MINUS_ONE } else { high | 0xffff_ffff };
        let store = |expect| {
            if wide {
                run(
                    [word],
                    sequence!(w64::compare_store, w => at(w, 0), expect, 5),
                )
            } else {
                run(
                    [word],
                    sequence!(w32::compare_store, w => at(w, 0), expect, 5),
                )
            }
        };
        let store_store = |expect| {
            if wide {
                run(
                    [word, high],
                    sequence!(w64::compare_store_store, w => at(w, 0), expect, at(w, 1), 4, 5),
                )
            } else {
                run(
                    [word, high],
                    sequence!(w32::compare_store_store, w => at(w, 0), expect, at(w, 1), 4, 5),
                )
            }
        };
        let compare_store = |expect, expect2| {
            if wide {
                run(
                    [word, word],
                    sequence!(w64::compare_compare_store, w => at(w, 0), expect, at(w, 1), expect2, 5),
                )
            } else {
                run(
                    [word, word],
                    sequence!(w32::compare_compare_store, w => at(w, 0), expect, at(w, 1), expect2, 5),
                )
            }
        };

        assert_eq!(store(1), (Attempt::Stopped(0), [word]));
        assert_eq!(store(MINUS_ONE), (Attempt::Done(0), [high | 5]));
        assert_eq!(store_store(1), (Attempt::Stopped(0), [word, high]));
        assert_eq!(
            store_store(MINUS_ONE),
            (Attempt::Done(0), [high | 5, high | 4])
        );
        assert_eq!(
            compare_store(1, MINUS_ONE),
            (Attempt::Stopped(0), [word, word])
        );
        assert_eq!(
            compare_store(MINUS_ONE, 1),
            (Attempt::Stopped(1), [word, word])
        );
        assert_eq!(
            compare_store(MINUS_ONE, MINUS_ONE),
            (Attempt::Done(0), [high | 5, word])
        );
    }
}

#[test]
fn copies() {
    for len in [0, 1, 7, 8, 9, 24] {
        let before = [1, MINUS_ONE, MINUS_ONE, MINUS_ONE, 2, 3, 4];
        let (attempt, after) = run(
            before,
            sequence!(w64::compare_copy_store, w => at(w, 0), 1, at(w, 1), at(w, 4), len, 9),
        );
        let bytes = |words: &[u64]| -> std::vec::Vec<u8> {
            words.iter().flat_map(|word| word.to_ne_bytes()).collect()
        };

        assert_eq!(attempt, Attempt::Done(0));
        assert_eq!((after[0], &after[4..]), (9, &before[4..]));
        assert_eq!(bytes(&after[1..4])[..len], bytes(&before[4..7])[..len]);
        assert!(bytes(&after[1..4])[len..].iter().all(|byte| *byte == 0xff));
    }
    assert_eq!(
        run(
            [1, 2, 3],
            sequence!(w32::compare_copy_store, w => at(w, 0), 0, at(w, 1), at(w, 2), 8, 9)
        ),
        (Attempt::Stopped(0), [1, 2, 3])
    );
}

#[test]
fn lists() {
    let node = 0x1000;

    assert_eq!(
        run([5, 0], sequence!(push, w => at(w, 0), at(w, 1), node)),
        (Attempt::Done(0), [node, 5])
    );
    assert_eq!(
        run([5], sequence!(pop, w => at(w, 0), 5, 0)),
        (Attempt::Stopped(0), [5])
    );
    // The head is the node, whose link is the third word.
    let element = [0u64, 0, 77];
    let first = (&raw const element).expose_provenance() as u64;
    assert_eq!(
        run([first], sequence!(pop, w => at(w, 0), 0, 16)),
        (Attempt::Done(first), [77])
    );
}
