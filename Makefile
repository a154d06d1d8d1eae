# SPDX-License-Identifier: GPL-2.0
#
# `make help` lists what there is. Everything is built under build/.

# Variables given here or in the environment are passed to the scripts unchanged.
export BASE ONTO KDIR ARCH JOBS CPUS MEMORY KVM KARGS FLAVOUR PROFILE CHECK SEARCH INLINE_HELPERS MINUTES INPUT UPDATE ROUNDS
# CONFIG is another name for FLAVOUR.
ifdef CONFIG
FLAVOUR := $(CONFIG)
endif

.PHONY: help run check vm shell kernel kselftest mutants soak adversary fuzz fuzz-corpus fuzz-coverage preemptoff lint bench patches patches-check
# Where install-lib installs.
export DESTDIR PREFIX LIBDIR
.PHONY: crate-test crate-guest lib-bench install-lib
.PHONY: upstream-tests bench-futex
.PHONY: plan-run plan-check tools source series script-test host-test fuzz-host model coverage rust-analyzer abi-test order-test each-patch rebase-check bare-test clean distclean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@echo 'cpu_opv: a system call that runs a vector of operations on per-CPU data.'
	@echo
	@echo '  make run             builds everything from nothing, then runs the demonstration in the guest'
	@echo '  make check           builds everything from nothing, then runs all tests'
	@echo
	@echo 'Steps, each of which does those before it'
	@echo '  make tools           finds the compilers, QEMU and virtme-ng, or installs them'
	@echo '  make source          fetches the source of the kernel'
	@echo '  make series          applies the series'
	@echo '  make kernel          builds the kernel'
	@echo
	@echo 'In the guest, with the built kernel'
	@echo "  make vm CMD='...'    runs a command in the guest, which sees the host's files read-only"
	@echo '  make shell           starts a shell in the guest'
	@echo
	@echo 'Tests in the guest, which build the kernel first'
	@echo '  make kselftest       builds the self-tests, runs them in the guest, and reads the results of KUnit'
	@echo '                       (T="name..." runs only these programs)'
	@echo "  make upstream-tests  compares the kernel's own tests of what the series changes with those of the"
	@echo '                       kernel without it (T="suite..." runs only these, such as futex)'
	@echo '  make mutants         removes each check of the kernel code in turn, and expects a test to fail'
	@echo '                       (T="name..." removes only these, see tests/mutants/)'
	@echo '  make soak MINUTES=n  runs random load of all kinds with CPU hotplug, for n minutes (default: 5)'
	@echo '  make adversary       measures what threads without privileges do to others by the call, beside'
	@echo '                       what they do without it (T="word..." measures only what has a word in its name,'
	@echo '                       ROUNDS=n measures each n times, default: 5)'
	@echo '  make fuzz MINUTES=n  fuzzes the system call in the guest for n minutes (default: 10), guided by what'
	@echo '                       each call reaches, beside a model; INPUT=file... runs single inputs again'
	@echo '  make fuzz-corpus     reduces the found inputs to a small corpus, which make check replays'
	@echo '  make fuzz-coverage   shows which lines of our code in the kernel the fuzzer has reached; needs the'
	@echo '                       kernel that make fuzz has built'
	@echo '  make crate-guest     tests the library in the guest, with the programs that make crate-test has built'
	@echo '                       (KERNEL=5.10 in a guest with that kernel of Debian, which has no cpu_opv())'
	@echo '  make preemptoff      measures how long vectors keep preemption off, also in a soak, in instructions'
	@echo '  make order-test      reads which instructions access memory, for ARCH=arm64 and riscv64'
	@echo
	@echo 'Tests on this machine'
	@echo '  make script-test     tests the scripts, on toy kernel trees (T="word..." runs only some)'
	@echo '  make host-test       tests the pure modules on the host'
	@echo '  make fuzz-host MINUTES=n'
	@echo '                       lets libFuzzer compare the pure modules with the models on the host, for n'
	@echo '                       minutes (default: 10); INPUT=FILE tries one input again, CHECK=1 expects it'
	@echo '                       to find known bugs, UPDATE=1 keeps what it reaches in tests/corpus/pure'
	@echo '  make coverage        shows which lines of the pure modules these tests run; fails if a line is not run'
	@echo '                       and tests/host/uncovered does not list it; shows those of the library, too'
	@echo '  make model           checks a model of the arrival on a CPU, over all interleavings'
	@echo '  make crate-test      tests the library for programs (ALL=1: also what takes long)'
	@echo '  make lib-bench       measures its operations on this machine, in multiples of an atomic addition'
	@echo '  make abi-test        checks the layout of the ABI for several compiler targets'
	@echo '  make lint            runs shellcheck, rustfmt, a check of Python; with the source of the kernel also'
	@echo '                       checkpatch, kernel-doc, a check of MAINTAINERS; and if the kernel is built,'
	@echo '                       clippy, rustdoc, and a search for paths to a panic'
	@echo "  make bare-test       runs CMD='...' (default: make tools) on bare systems of Debian 12 and 13, as root"
	@echo '                       (T="suite..." only on these, such as trixie)'
	@echo
	@echo 'Measurements'
	@echo '  make bench           counts the instructions of each call; PROFILE=1 also shows where they go,'
	@echo '                       CHECK=1 fails if a row is worse than in bench/baseline.csv, INLINE_HELPERS=1'
	@echo '                       builds the kernel with that option (7.2), SEARCH=1 searches for the'
	@echo '                       vector that keeps preemption off for longest'
	@echo '  make bench-futex     measures what calls of futex() cost, without the series and with it'
	@echo
	@echo 'The series'
	@echo '  make patches         folds the new files into every series and reprints it'
	@echo '  make patches-check   fails unless every series yields exactly the files here;'
	@echo '                       UPSTREAM=1 uses the upstream source instead of that of the distribution'
	@echo '  make each-patch      builds the kernel after each patch of the series'
	@echo '  make rebase-check    tells whether the series still applies, patch by patch, to the newest source of'
	@echo '                       Linux ONTO=N (default: of the newest base) or to KDIR; BUILD=1 also compiles'
	@echo '                       what each patch touches'
	@echo
	@echo 'Other'
	@echo '  make install-lib     builds the library for C and C++ and installs it (DESTDIR= PREFIX= LIBDIR=)'
	@echo '  make rust-analyzer   tells an editor that opens build/src/linux-N about the Rust code there'
	@echo '  make clean           removes what was built, but keeps tools, sources and downloads'
	@echo '  make distclean       removes build/; FORCE=1 also if a kernel tree there has work that is in no series'
	@echo
	@echo 'Variables:'
	@echo '  BASE=N         the kernel to use, one of: $(notdir $(wildcard patches/[0-9]*)); default: the newest'
	@echo '                 released one whose source is available'
	@echo '  BASES="N..."   for make check: several, also with an architecture, a flavour or both, such as'
	@echo '                 "7.2 6.12 7.2:debug 7.2:arm64:64k"'
	@echo '  CHECK_UNTIL=S  for make check with BASES: leaves out, by name, what would end later than S seconds'
	@echo '                 after 1970'
	@echo '  KDIR=DIR       uses your own kernel git tree instead, with the nearest series'
	@echo '  ARCH=NAME      x86_64, arm64, riscv64 or s390x; default: that of this machine. Another is emulated,'
	@echo '                 which needs packages of Debian'
	@echo '  FLAVOUR=NAME   the kernel configuration, also CONFIG=; one of: run (the default), debug'
	@echo '                 (all checks, slow), fuzz (for make fuzz), rt (real-time), dynamic (preemption model'
	@echo '                 chosen at boot), scx (sched_ext: some self-tests run again under a scheduler in'
	@echo '                 BPF), 64k (arm64 with pages of 64 KB)'
	@echo '  JOBS=N CPUS=N MEMORY=2G KVM=auto|on|off'
	@echo '  KARGS="..."    further kernel arguments, such as isolcpus=3 nohz_full=3, or preempt=full'

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

adversary: kernel
	@scripts/adversary $(T)

# What it runs is the kernel of that flavour.
fuzz fuzz-corpus: export FLAVOUR := fuzz
fuzz: kernel
	@scripts/tools fuzz
	@scripts/fuzz $(if $(INPUT),run $(INPUT))

fuzz-corpus: kernel
	@scripts/tools fuzz
	@scripts/fuzz minimise

fuzz-coverage:
	@scripts/fuzz coverage

preemptoff: series
	@scripts/preemptoff

script-test:
	@scripts/script-test $(T)

host-test: tools
	@scripts/host-test

fuzz-host:
	@scripts/tools fuzz
	@scripts/fuzz-host $(T)

crate-test:
	@scripts/tools library
	@scripts/crate-test $(if $(ALL),--all)

crate-guest: $(if $(KERNEL),tools,kernel)
	@scripts/crate-test --guest $(KERNEL)

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

order-test: kernel
	@scripts/order-test

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

patches-check: tools
	@scripts/patches check $(if $(UPSTREAM),upstream)

bench-futex: series
	@scripts/bench-futex

each-patch: series
	@scripts/each-patch

rebase-check: tools
	@BUILD='$(BUILD)' scripts/rebase-check

bare-test:
	@tests/bare $(if $(value CMD),-c '$(subst ','\'',$(value CMD))') $(T)

clean:
	rm -rf build/bare build/out build/kselftest build/demo build/bench build/preemptoff build/host build/fuzz-call build/fuzz-host build/adversary build/series build/model build/crate build/crate-c build/vm build/log build/kvm-verdict

distclean:
	@scripts/distclean
