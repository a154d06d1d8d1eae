// SPDX-License-Identifier: GPL-2.0

//! The kernel's `macros` crate, as far as the pure modules need it on the host.

use proc_macro::TokenStream;

/// Makes a module one of tests, whose functions with `#[test]` are run by `cargo test`.
///
/// In the kernel the attribute of this name makes it a KUnit suite, called `_suite`.
#[proc_macro_attribute]
pub fn kunit_tests(_suite: TokenStream, module: TokenStream) -> TokenStream {
    let mut tests: TokenStream = "#[cfg(test)]".parse().expect("an attribute is valid");
    tests.extend(module);
    tests
}
