# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What all scripts share: paths, messages, logs, locks.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$ROOT/build
LOGDIR=$BUILD/log

# `make -j8` sets the number of jobs of the kernel's build. The flags of that make are removed,
# because the makes that run here would warn that they cannot use its job server.
[[ " ${MAKEFLAGS:-}" =~ \ -j\ ?([0-9]+) ]] && JOBS=${JOBS:-${BASH_REMATCH[1]}}
unset MAKEFLAGS MFLAGS MAKELEVEL
# In a git hook these variables name the hook's repository.
unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE GIT_PREFIX GIT_OBJECT_DIRECTORY

JOBS=${JOBS:-$(nproc)}
FLAVOUR=${FLAVOUR:-run}

# Output and reprinted patches must not depend on the user or the place.
export LC_ALL=C.UTF-8 TZ=UTC

say() { printf '%s\n' "$*" >&2; }
step() { printf '==> %s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
	printf 'error: %s\n' "$1" >&2
	shift
	local line
	for line in "$@"; do
		printf '       %s\n' "$line" >&2
	done
	exit 1
}

case $ROOT in
# The kernel's Makefile would refuse it too, but much later.
*[[:space:]:]*) die "the kernel cannot be built in a path with a space or a colon: move $ROOT" ;;
esac

# Sets what an architecture is called and where its kernel is: by the kernel's Makefile, by
# compilers and QEMU. patches/README.md says which have been booted.
case $(uname -m) in
aarch64) HOST_ARCH=arm64 ;;
riscv64) HOST_ARCH=riscv64 ;;
s390x) HOST_ARCH=s390x ;;
*) HOST_ARCH=x86_64 ;;
esac
ARCH=${ARCH:-$HOST_ARCH}
export ARCH
# shellcheck disable=SC2034 # for kernel, vm and others
case $ARCH in
x86_64) KERNEL_ARCH=x86_64 IMAGE=arch/x86/boot/bzImage MACHINE=x86_64 ;;
arm64) KERNEL_ARCH=arm64 IMAGE=arch/arm64/boot/Image MACHINE=aarch64 ;;
riscv64) KERNEL_ARCH=riscv IMAGE=arch/riscv/boot/Image MACHINE=riscv64 ;;
s390x) KERNEL_ARCH=s390 IMAGE=arch/s390/boot/bzImage MACHINE=s390x ;;
*) die "ARCH=$ARCH is none of x86_64, arm64, riscv64, s390x (unset ARCH if it is merely exported)" ;;
esac
# A guest that is of another architecture than this machine has its own files.
is_foreign() { [ "$ARCH" != "$HOST_ARCH" ]; }

mkdir -p "$LOGDIR"

minutes() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# Is version $1 at least $2?
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# logged NAME COMMAND...: runs a command with its output in build/log/NAME.log.
# If it fails, names the command and shows the end of the log. If PROGRESS names a
# function that turns the log into a short text, that text shows the progress on the
# terminal.
logged() {
	local log=$LOGDIR/$1.log start=$SECONDS status=0 pid last=0 text
	shift
	# An interrupted script must not leave its command running, nor the processes that
	# the command has started. So the command gets a process group.
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	set +m
	trap 'kill -- "-$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; exit 130' INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		[ -n "${PROGRESS:-}" ] || continue
		if [ -t 2 ]; then
			text=$("$PROGRESS" "$log")
			printf '\r\033[K    %s, %s' "$text" "$(minutes $((SECONDS - start)))" >&2
		elif [ $((SECONDS - start - last)) -ge 30 ]; then
			last=$((SECONDS - start))
			printf '    %s, %s\n' "$("$PROGRESS" "$log")" "$(minutes $last)" >&2
		fi
	done
	wait "$pid" || status=$?
	trap - INT TERM
	if [ -n "${PROGRESS:-}" ] && [ -t 2 ]; then
		printf '\r\033[K' >&2
	fi
	[ $status -eq 0 ] && return 0
	say "failed (status $status): $*"
	# The first error says more than the last lines of other jobs.
	grep -n -m 5 -E '(^|[^a-z])(error|Error|ERROR)[:\[]' "$log" >&2 || true
	say "the last lines of ${log#"$ROOT"/}:"
	tail -n 25 "$log" >&2
	return $status
}

# The bases that have a series here, newest first.
bases() {
	[ ! -d "$ROOT/patches" ] || find "$ROOT/patches" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*' -printf '%f\n' | sort -rV
}
# Those of released kernels, newest first. scripts/series marks the series of a release candidate:
# it is used if BASE or KDIR asks for it.
released_bases() {
	local base
	for base in $(bases); do
		[ -f "$ROOT/patches/$base/candidate" ] || echo "$base"
	done
}

version_of() { # of the kernel tree whose Makefile is read from standard input
	# Read to the end: the writer would fail if the pipe were closed early.
	awk -F ' *= *' '$1 == "VERSION" { v = $2 } $1 == "PATCHLEVEL" { print v "." $2 }'
}

# Does KDIR have the series, and is the kernel built there? Then it is used as it is.
kdir_is_built() {
	[ -n "${KDIR:-}" ] && [ -f "$KDIR/$IMAGE" ] && grep -qsx 'CONFIG_CPU_OPV=y' "$KDIR/.config"
}

# Sets BASE, TREE, SRC and OUT. If `source` had to choose a base, it has written it to build/base.
use_base() {
	if [ -n "${KDIR:-}" ]; then
		TREE=kdir-$(basename "$(readlink -f "$KDIR")")
		[ -n "${BASE:-}" ] || BASE=$(cat "$BUILD/base.$TREE" 2>/dev/null || true)
	else
		[ -n "${BASE:-}" ] || BASE=$(cat "$BUILD/base" 2>/dev/null || true)
		[ -n "$BASE" ] || BASE=$(released_bases | head -n 1)
		[ -n "$BASE" ] || BASE=7.2
		TREE=linux-$BASE
	fi
	SRC=$BUILD/src/$TREE
	# The benchmark's additions to the kernel, the states between two patches, and the kernel
	# without the series have trees of their own.
	case $FLAVOUR in bench* | each* | plain) SRC=$SRC-${FLAVOUR%%-*} ;; esac
	# x86-64 came first.
	OUT=$BUILD/out/${TREE#linux-}-$FLAVOUR
	[ "$ARCH" = x86_64 ] || OUT=$BUILD/out/${TREE#linux-}-$ARCH-$FLAVOUR
	if kdir_is_built; then
		SRC=$(realpath "$KDIR")
		OUT=$SRC
	fi
	export BASE
}

# Uses only what `tools` found, under the names that the kernel's Makefile knows.
use_tools() {
	[ -f "$BUILD/tools/env" ] || die "the tools have not been looked for yet: run 'make tools'"
	# shellcheck source=/dev/null
	. "$BUILD/tools/env"
	export PATH LLVM LIBCLANG_PATH
	export CCACHE_DIR=${CCACHE_DIR:-$BUILD/ccache}
	# ccache takes the headers of an object from the compiler's list. Otherwise it would
	# run the preprocessor first, which costs time in a build from nothing.
	export CCACHE_DEPEND=1
	# The same sources give the same kernel.
	export KBUILD_BUILD_USER=cpu_opv KBUILD_BUILD_HOST=build
	export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 2026'
}

# Only one make at a time may work on a tree, or in an output directory.
lock() { # lock FILE: held until the script ends
	mkdir -p "$(dirname "$1")"
	exec 9>>"$1"
	flock -n 9 || {
		say "waiting for another make, which holds ${1#"$ROOT"/}"
		flock 9
	}
}

# git for the trees under build/. Nobody's settings and hooks affect it, and the same series
# gives the same commits. If KDIR belongs to another user, scripts/source has already asked
# git, with this user's settings, whether it is safe.
kgit() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \
		GIT_COMMITTER_NAME=cpu_opv GIT_COMMITTER_EMAIL=cpu_opv@localhost \
		git -c core.autocrlf=false -c core.safecrlf=false -c gc.auto=0 -c core.hooksPath=/dev/null -c safe.directory='*' \
		-c advice.detachedHead=false -c user.name=cpu_opv -c user.email=cpu_opv@localhost "$@"
}

# project_files PATTERN...: the files of this project that match, without those that git ignores.
# It does not use the project's repository: there may be none, or it may belong to another user.
project_files() {
	[ -f "$BUILD/outside/HEAD" ] || kgit init -q --bare "$BUILD/outside"
	kgit -C "$ROOT" --git-dir="$BUILD/outside" --work-tree="$ROOT" ls-files -o --exclude-standard -- "$@"
}

# What a build depends on, and whether the built kernel is up to date with the tree.
kernel_state() {
	kgit -C "$SRC" rev-parse HEAD
	cat "$OUT/.config"
	# Without the line that lists the groups of tools.
	grep -v '^#' "$BUILD/tools/env"
	kgit -C "$SRC" status --porcelain
}
kernel_is_current() { # kernel_is_current STATE
	[ "$1" = "$(cat "$OUT/.built" 2>/dev/null)" ] && ! grep -q '^[ MARCDU?!][MD?] ' <<<"$1"
}

# What KCOV instruments in FLAVOUR=fuzz. The kernel's makefiles decide by the name of the object,
# and other directories have objects of these names, too. Make expands $(obj) for each of them.
kcov_objects() { # kcov_objects DIRECTORY/NAME...
	local object
	for object; do
		# shellcheck disable=SC2016
		printf 'KCOV_INSTRUMENT_%s.o=$(if $(filter %s,$(obj)),y,n)\n' "${object##*/}" "${object%/*}"
	done
}

# The C compiler is gcc, which takes two thirds of clang's time. But `make bench` counts the
# code of clang, and the kernel supports KASAN together with Rust only with clang.
kmake() {
	local compiler=(LLVM= CC="ccache gcc")
	case $FLAVOUR in bench* | debug | fuzz) compiler=(LLVM="$LLVM" CC="ccache clang${LLVM/#1/}") ;; esac
	# It compiles for every architecture.
	! is_foreign || compiler=(LLVM="$LLVM" CC="ccache clang${LLVM/#1/}")
	if [ "$FLAVOUR" = fuzz ]; then
		mapfile -t -O ${#compiler[@]} compiler < <(kcov_objects rust/kernel kernel/cpu_opv kernel/sched/core mm/gup mm/maccess)
		compiler+=(KCFLAGS=-gline-tables-only KRUSTFLAGS=-Cdebuginfo=line-tables-only)
	fi
	nice -n "${NICE:-10}" make -C "$SRC" O="$OUT" ARCH="$KERNEL_ARCH" "${compiler[@]}" "$@"
}

# The compilers of programs that run in the guest: of 64-bit ones, and of 32-bit ones where the
# kernel serves them. Those for a foreign guest hold all that they need, but for the C library on s390x.
program_compilers() { # sets CC and CC_32
	CC=gcc CC_32=
	if is_foreign; then
		CC="clang${LLVM/#1/} --target=$MACHINE-linux-gnu -fuse-ld=lld"
		# On s390 a restartable sequence jumps to its abort handler by a short branch, which a
		# static C library would put out of reach. The guest has the library.
		[ "$ARCH" = s390x ] || CC+=" -static"
	fi
	case $ARCH in
	x86_64) CC_32="$CC -m32" ;;
	arm64)
		[ ! -f /usr/arm-linux-gnueabihf/include/stdio.h ] ||
			CC_32="clang${LLVM/#1/} --target=arm-linux-gnueabihf -fuse-ld=lld -static"
		;;
	esac
}

# QEMU's options for a clock that counts the instructions of the guest. The CPU has no fast string
# instructions, so the kernel copies by loops: each byte of a string instruction would count.
# shellcheck disable=SC2034 # for bench and preemptoff
ICOUNT="-icount shift=0,sleep=off"
[ "$ARCH" != x86_64 ] || ICOUNT+=" -cpu max,-fsrm,-erms"

# build_selftests: builds the self-tests with the kernel's own build system, those of cpu_opv or of
# SELFTESTS, and installs them in the directory INSTALL, which stays locked until the script ends.
build_selftests() {
	lock "$INSTALL.lock"
	logged "headers-${OUT##*/}" kmake headers || exit 1
	rm -rf "$INSTALL"
	# For this machine by the C library's own compiler: clang does not always find the 32-bit one.
	program_compilers
	local arguments=(CC="$CC" LLVM= CC_32="$CC_32")
	if [ "$ARCH" = arm64 ] && [ -n "$CC_32" ]; then
		# Only x86 has the headers of both in one.
		logged "headers-${OUT##*/}-32" kmake O="$OUT-32" ARCH=arm headers || exit 1
		arguments+=(KHDR_INCLUDES_32="-isystem $OUT-32/usr/include")
	fi
	logged "kselftest-build-${INSTALL##*/}" make -C "$SRC/tools/testing/selftests" O="$OUT" TARGETS="${SELFTESTS:-cpu_opv}" \
		ARCH="$KERNEL_ARCH" "${arguments[@]}" INSTALL_PATH="$INSTALL" FORCE_TARGETS=1 install || exit 1
}

# guest_results OUTPUT LOG PROGRAM...: turns what guest-tests printed, and the guest's kernel
# log, into lines "passed|failed|skipped NAME".
guest_results() {
	local output=$1 log=$2
	shift 2
	awk -v planned_programs="$*" -f "$ROOT/scripts/complaints.awk" -f "$ROOT/scripts/results.awk" "$output" kernel_log=1 "$log"
}

# complaints LOG: prints the kernel's complaints in it, and succeeds if there are any.
complaints() {
	awk -v only=1 -f "$ROOT/scripts/complaints.awk" "$1"
}
# no_complaints LOG: prints them, and ends the script if there are any.
no_complaints() {
	! complaints "$1" >&2 || die "the kernel complained: see ${1#"$ROOT"/}"
}

# drop_branch TREE: detaches a worktree of KDIR from its branch. If the branch is one of ours
# and has nothing but the series, which can be applied again, it is deleted from KDIR's
# repository. A branch with more commits is kept.
drop_branch() {
	local branch applied
	applied=$(kgit -C "$1" rev-parse -q --verify refs/worktree/cpu_opv/applied || true)
	branch=$(kgit -C "$1" symbolic-ref -q --short HEAD || true)
	kgit -C "$1" checkout -q --detach
	case $branch in
	cpu_opv-*)
		if [ "$(kgit -C "$1" rev-parse HEAD)" = "$applied" ]; then
			kgit -C "$1" branch -q -D "$branch"
			return
		fi
		;;
	esac
	[ -z "$branch" ] || say "    the branch $branch stays in KDIR"
}
