// SPDX-License-Identifier: GPL-2.0

//! Runs what the series adds to mm/maccess.c on this machine, in the configurations that no kernel
//! for it has: without access to integers that are not aligned, and for big-endian machines.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The check that keeps a load from a size that is none.
const CHECK: &str = "if (!is_power_of_2(size) || size > sizeof(*val))\n\t\treturn -EINVAL;\n";

fn package() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .expect("cargo sets CARGO_MANIFEST_DIR")
        .into()
}

/// Returns the lines that a patch adds to a file.
fn added(patch: &str, file: &str) -> String {
    let header = format!("+++ b/{file}");

    patch
        .lines()
        .skip_while(|line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with("diff ") && *line != "-- ")
        .filter_map(|line| line.strip_prefix('+'))
        .filter(|line| !line.starts_with("#include"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Returns what the series of each base adds to mm/maccess.c, with the name of the base.
fn sources() -> Vec<(String, String)> {
    let mut sources = Vec::new();

    for base in fs::read_dir(package().join("../../patches")).expect("patches/ is there") {
        let base = base.expect("patches/ can be read").path();
        if !base.is_dir() {
            continue;
        }
        for patch in fs::read_dir(&base).expect("a series can be read") {
            let patch = fs::read_to_string(patch.expect("a series can be read").path());
            let source = added(&patch.expect("a patch is text"), "mm/maccess.c");
            if source.contains("load_user_bytes(unsigned long *val") {
                let name = base.file_name().expect("a base has a name");
                sources.push((name.to_string_lossy().into_owned(), source));
            }
        }
    }

    assert!(!sources.is_empty(), "no series adds load_user_bytes()");
    sources
}

/// Builds and runs the test of `source`, and returns what it printed.
fn run(name: &str, source: &str, efficient: bool, big_endian: bool) -> Output {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let program = dir.join("test");

    fs::create_dir_all(&dir).expect("there is room for the test");
    fs::write(dir.join("added.c"), source).expect("there is room for the test");
    let status = Command::new("gcc")
        .args([
            "-std=gnu11",
            "-O2",
            "-Wall",
            "-Wno-unused-function",
            "-fsanitize=undefined",
        ])
        .arg("-fno-sanitize-recover=all")
        .arg(format!("-DEFFICIENT={}", u8::from(efficient)))
        .arg(format!("-DBIG_ENDIAN={}", u8::from(big_endian)))
        .arg("-I")
        .arg(&dir)
        .arg(package().join("tests/maccess.c"))
        .arg("-o")
        .arg(&program)
        .status()
        .expect("gcc runs");
    assert!(status.success(), "the test does not compile");
    Command::new(&program).output().expect("the test runs")
}

fn expect_success(efficient: bool, big_endian: bool) {
    for (base, source) in sources() {
        let name = format!("{base}-{}{}", u8::from(efficient), u8::from(big_endian));
        let output = run(&name, &source, efficient, big_endian);
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);

        assert!(output.status.success(), "{base}: {text}{errors}");
    }
}

#[test]
fn maccess_with_aligned_integers_only() {
    expect_success(false, false);
}

#[test]
fn maccess_with_aligned_integers_only_big_endian() {
    expect_success(false, true);
}

#[test]
fn maccess_with_all_integers() {
    expect_success(true, false);
}

/// Without that check, the tests fail.
#[test]
fn maccess_without_the_check_of_the_size() {
    for (base, source) in sources() {
        assert_eq!(
            source.matches(CHECK).count(),
            1,
            "{base}: the check is elsewhere"
        );
        let output = run(
            &format!("{base}-removed"),
            &source.replace(CHECK, ""),
            false,
            false,
        );

        assert!(
            !output.status.success(),
            "{base}: nothing fails without the check"
        );
    }
}
