# SPDX-License-Identifier: GPL-2.0
#
# `make help` lists what there is. Everything is built under build/.

# What is given here or in the environment goes to the scripts as it is.
export BASE KDIR ARCH JOBS CPUS MEMORY KVM KARGS FLAVOUR PROFILE CHECK SEARCH INLINE_HELPERS MINUTES
# CONFIG is another name of FLAVOUR.
ifdef CONFIG
FLAVOUR := $(CONFIG)
endif

.PHONY: help run check vm shell kernel kselftest mutants soak preemptoff lint bench patches patches-check
# Where install-lib installs.
export DESTDIR PREFIX LIBDIR
.PHONY: crate-test crate-guest lib-bench install-lib
.PHONY: upstream-tests bench-futex
.PHONY: plan-run plan-check tools source series script-test host-test model coverage rust-analyzer abi-test each-patch clean distclean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@echo 'cpu_opv: a system call that runs a vector of operations on per-CPU data.'
	@echo
	@echo '  make run             everything from nothing, then the demonstration in the guest'
	@echo '  make check           everything from nothing, then all tests'
	@echo "  make vm CMD='...'    runs a command in the guest; host files are visible read-only"
	@echo '  make shell           a shell in the guest'
	@echo '  make kernel          applies the series and builds the kernel'
	@echo '  make kselftest       builds the self-tests and runs them in the guest, and KUnit'
	@echo '                       (T="name..." runs only these programs)'
	@echo "  make upstream-tests  the kernel's own tests of what the series changes, compared with those of the"
	@echo '                       kernel without it (T="suite..." runs only these, such as futex)'
	@echo '  make mutants         removes each guard in turn: a test has to fail then'
	@echo '                       (T="name..." removes only these of tests/mutants/)'
	@echo '  make soak MINUTES=n  random load of all kinds with CPU hotplug, for n minutes (default: 5)'
	@echo '  make preemptoff      how long vectors disable preemption, in instructions, also under that load'
	@echo '  make script-test     the scripts tested, on toy kernel trees (T="word..." only some)'
	@echo '  make host-test       the pure modules tested on the host'
	@echo '  make coverage        which of their lines these tests run: all, or it fails'
	@echo '  make model           a model of the arrival on a CPU, checked over all interleavings'
	@echo '  make crate-test      the library for programs tested on the host; make crate-guest: in the guest'
	@echo '  make lib-bench       what its operations cost here, in multiples of an atomic addition'
	@echo '  make install-lib     builds the library for C and C++ and installs it (DESTDIR= PREFIX=)'
	@echo '  make abi-test        the layout of the ABI checked for several targets'
	@echo '  make lint            rustfmt, shellcheck, checkpatch, kernel-doc; where the kernel is built, too:'
	@echo '                       clippy, rustdoc, and whether a path leads to a panic'
	@echo '  make rust-analyzer   lets an editor that opens build/src/linux-N know the Rust code there'
	@echo '  make bench           the benchmark: instructions per call; PROFILE=1 also tells where'
	@echo '                       they go, CHECK=1 fails when a row is worse than bench/baseline.csv,'
	@echo '                       INLINE_HELPERS=1 builds the kernel with that option (7.2), SEARCH=1'
	@echo '                       searches for the vector that keeps preemption off for longest'
	@echo '  make bench-futex     what calls of futex() cost, without the series and with it'
	@echo '  make patches         folds the new files into every series and reprints it'
	@echo '  make patches-check   fails unless every series yields exactly the files here;'
	@echo '                       UPSTREAM=1: on the plain upstream source, not on that of the distribution'
	@echo '  make each-patch      builds the kernel after each patch of the series'
	@echo '  make clean           removes what was built, keeps tools, sources and downloads'
	@echo '  make distclean       removes build/'
	@echo
	@echo 'Variables:'
	@echo '  BASE=N         the kernel to use, one of: $(notdir $(wildcard patches/[0-9]*)); default: the newest'
	@echo '                 whose source can be had'
	@echo '  KDIR=DIR       your own kernel git tree instead, with the nearest series'
	@echo '  FLAVOUR=NAME   the kernel configuration, also CONFIG=; one of: run (the default), debug'
	@echo '                 (all checks, slow), rt (real-time), dynamic (preemption model chosen at boot),'
	@echo '                 scx (sched_ext: some self-tests run once more under a scheduler in BPF)'
	@echo '  JOBS=N CPUS=N MEMORY=2G KVM=auto|on|off'
	@echo '  KARGS="..."    more arguments for the kernel, such as isolcpus=3 nohz_full=3, or preempt=full'

plan-run plan-check: plan-%:
	@scripts/plan $*

tools:
	@scripts/tools

source: tools
	@scripts/source

series: source
	@scripts/series apply

kernel: series
	@scripts/kernel

run: plan-run kernel
	@scripts/demo

vm:
	@scripts/vm $(VMFLAGS) '$(subst ','\'',$(value CMD))'

shell:
	@scripts/vm -i

kselftest: kernel
	@scripts/kselftest $(T)

upstream-tests: kernel
	@scripts/upstream-tests $(T)

mutants: kernel
	@scripts/mutants $(T)

soak: kernel
	@scripts/soak

preemptoff: series
	@scripts/preemptoff

script-test:
	@scripts/script-test $(T)

host-test: tools
	@scripts/host-test

crate-test:
	@scripts/tools library
	@scripts/crate-test

crate-guest: kernel
	@scripts/crate-test --guest

lib-bench:
	@scripts/tools library
	@scripts/crate-test --bench

install-lib:
	@scripts/tools library
	@scripts/install-lib

coverage:
	@scripts/tools coverage
	@scripts/coverage

rust-analyzer: series
	@scripts/rust-analyzer

model:
	@scripts/tools model
	@scripts/model

abi-test: series
	@scripts/abi-test

lint:
	@scripts/tools lint
	@scripts/lint

check: plan-check
	@scripts/check

bench:
	@scripts/tools bench
	@scripts/source
	@scripts/series apply
	@scripts/bench

patches: tools
	@scripts/patches export

patches-check: plan-check
	@scripts/patches check $(if $(UPSTREAM),upstream)

bench-futex: series
	@scripts/bench-futex

each-patch: series
	@scripts/each-patch

clean:
	rm -rf build/out build/kselftest build/demo build/bench build/host build/series build/model build/crate build/crate-c build/vm build/log build/kvm-verdict

distclean:
	@scripts/distclean
