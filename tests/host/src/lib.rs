// SPDX-License-Identifier: GPL-2.0

//! The pure modules of `cpu_opv()`, compiled as they are, and tested on the host.
//!
//! Their own unit tests, which are KUnit tests in the kernel, run here too. What holds for every
//! vector is checked against models that share no code with the modules: on random vectors, on all
//! pairs of operations that matter, and on what a fuzzer finds.

// Some of what the modules offer is used by the rest of the kernel's only.
#[allow(dead_code)]
#[path = "."]
mod cpu_opv {
    #[path = "../../../rust/kernel/cpu_opv/interpret.rs"]
    mod interpret;
    #[path = "../../../rust/kernel/cpu_opv/op.rs"]
    mod op;
    #[path = "../../../rust/kernel/cpu_opv/page.rs"]
    mod page;
    #[path = "../../../rust/kernel/cpu_opv/plan.rs"]
    mod plan;

    mod case;
    mod check;
    #[cfg(test)]
    mod exhaustive;
    mod model;
    #[cfg(test)]
    mod properties;

    pub use case::Case;
}

pub use cpu_opv::Case;

/// What the modules use of the kernel's `page` module.
mod page {
    pub(crate) const PAGE_SIZE: usize = 4096;
}

/// What the modules use of the kernel's `uaccess` module.
#[allow(dead_code)]
mod uaccess {
    pub(crate) mod nofault {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct Width(pub(crate) usize);

        impl Width {
            pub(crate) const U8: Self = Self(1);
            pub(crate) const U16: Self = Self(2);
            pub(crate) const U32: Self = Self(4);
            pub(crate) const U64: Self = Self(8);

            pub(crate) const fn from_bytes(len: usize) -> Option<Self> {
                match len {
                    1 | 2 | 4 | 8 => Some(Self(len)),
                    _ => None,
                }
            }

            pub(crate) const fn bytes(self) -> usize {
                self.0
            }
        }
    }
}

/// What the modules use of the kernel's `mm` module.
mod mm {
    pub(crate) mod gup {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Access {
            Read,
            Write,
        }
    }
}

/// The header of the system call, as bindgen sees it.
#[allow(dead_code, non_camel_case_types, non_upper_case_globals)]
mod uapi {
    include!(concat!(env!("OUT_DIR"), "/uapi.rs"));
}
