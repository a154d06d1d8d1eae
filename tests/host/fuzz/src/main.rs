// SPDX-License-Identifier: GPL-2.0

//! Lets libFuzzer look for an input on which the pure modules and the models differ.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// How many inputs have been tried, and when that was last said.
static TRIED: Mutex<(u64, Option<Instant>)> = Mutex::new((0, None));

/// Says how many inputs have been tried, every second. libFuzzer itself does so ever more seldom.
fn count() {
    let mut tried = TRIED.lock().expect("there is one thread");
    let now = Instant::now();

    tried.0 += 1;
    if now - *tried.1.get_or_insert(now) >= Duration::from_secs(1) {
        tried.1 = Some(now);
        eprintln!("tried {}", tried.0);
    }
}

fuzz_target!(|input: &[u8]| {
    count();
    cpu_opv_host::Case::from_bytes(input).check();
});
