// SPDX-License-Identifier: GPL-2.0

//! Makes the crate's `uapi` module of the headers, by the bindgen and with the names that the kernel
//! uses.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let root = Path::new(&package).join("../..");
    let include = root.join("include/uapi");
    let out_dir = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let bindings = Path::new(&out_dir).join("uapi.rs");
    let bindgen = bindgen(&root);

    println!("cargo::rerun-if-env-changed=BINDGEN");
    println!("cargo::rerun-if-changed={}", include.display());

    let status = Command::new(&bindgen)
        .args(["--use-core", "--no-layout-tests", "--no-doc-comments"])
        .args(["--allowlist-file", ".*/linux/cpu_opv\\.h"])
        .arg("--output")
        .arg(bindings)
        .arg(include.join("linux/cpu_opv.h"))
        .args(["--", "-I"])
        .arg(&include)
        .status();

    match status {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("{} failed: {status}", bindgen.display())),
        Err(error) => fail(&format!(
            "{} cannot be run: {error}. Set BINDGEN, or run `make tools`.",
            bindgen.display()
        )),
    }
}

/// Returns the bindgen command: `$BINDGEN`, or that of `make tools`, or the one in `$PATH`.
fn bindgen(root: &Path) -> PathBuf {
    let installed = root.join("build/tools/bin/bindgen");

    match env::var_os("BINDGEN").filter(|command| !command.is_empty()) {
        Some(command) => command.into(),
        None if installed.exists() => installed,
        None => "bindgen".into(),
    }
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1);
}
