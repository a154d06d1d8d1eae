// SPDX-License-Identifier: GPL-2.0

//! Shows what inputs of the fuzzer mean, and compares the pure modules with the models on them.
//!
//! Usage: replay FILE...

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    for path in env::args_os().skip(1).map(PathBuf::from) {
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let case = cpu_opv_host::Case::from_bytes(&bytes);

        println!("{}:\n{case}", path.display());
        case.check();
        println!("no difference");
    }
    Ok(())
}
