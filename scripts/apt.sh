# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What downloads packages that the machine's own list of sources does not have, and
# installs nothing.

# apt with state of its own: the system's lists, caches and hooks are left alone.
APT_STATE=$BUILD/cache/apt-state
private_apt() { # private_apt APT-COMMAND ARGUMENT...
	local state=$APT_STATE program=$1
	shift
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	: >>"$state/status"
	cat >"$state/apt.conf" <<-'END'
		// Hooks of container images would delete the system's downloads.
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear Acquire::IndexTargets::deb::DEP-11;
		#clear Acquire::IndexTargets::deb::DEP-11-icons;
		#clear Acquire::IndexTargets::deb::DEP-11-icons-small;
		#clear Acquire::IndexTargets::deb::DEP-11-icons-hidpi;
		#clear Acquire::IndexTargets::deb::DEP-11-icons-large;
		#clear Acquire::IndexTargets::deb::DEP-11-icons-large-hidpi;
		#clear Acquire::IndexTargets::deb::Contents-deb;
	END
	"$program" -c "$state/apt.conf" -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State="$state" -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" \
		-o Dir::Cache="$state/cache" -o Acquire::Languages=none -o APT::Sandbox::User="$(id -un)" "$@"
}

# The lists say until when they are to be used. A mirror that has not been brought up
# to date since then still has what they name, and its signature is checked as ever.
private_update() { # private_update LOG
	private_apt apt-get -o APT::Update::Error-Mode=any update >"$1" 2>&1 && return
	grep -q '^E: Release file for .* is expired' "$1" || return 1
	private_apt apt-get -o APT::Update::Error-Mode=any -o Acquire::Check-Valid-Until=false update >"$1" 2>&1 &&
		say "    the mirror's list is past its date: used all the same, its signature is good"
}

# The mirror in the machine's own list, whatever its format.
mirror() {
	# shellcheck disable=SC2016,SC1091
	(. "${SYSTEM:-}/etc/os-release" && apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk -v release="$VERSION_CODENAME" '$1 == release && $2 == "main" { print $3; exit }')
}

# The same mirror may have what the machine's own list has not. Release candidates are in the last suite only.
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
SUITES="stable-backports stable testing unstable experimental"
one_line() { # one_line TYPE URI SUITE: for a list of sources
	printf '%s %s%s %s main\n' "$1" "$([ ! -f $KEYRING ] || echo "[signed-by=$KEYRING] ")" "$2" "$3"
}
