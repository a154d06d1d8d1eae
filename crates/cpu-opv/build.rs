// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Names the architectures that have restartable sequences here.

use std::env;

fn main() {
    let get = |name| env::var(name).unwrap_or_default();
    let arch = get("CARGO_CFG_TARGET_ARCH");
    let little = get("CARGO_CFG_TARGET_ENDIAN") == "little";
    let wide = get("CARGO_CFG_TARGET_POINTER_WIDTH") == "64";

    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(cpu_opv_sequences)");
    if wide && little && ["x86_64", "aarch64", "riscv64"].contains(&arch.as_str()) {
        println!("cargo:rustc-cfg=cpu_opv_sequences");
    }
    // Of the C library: its key, its fork handlers and the descriptors of its sequences outlive dlclose().
    if env::var_os("CARGO_FEATURE_CAPI").is_some() {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
