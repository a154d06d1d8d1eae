# SPDX-License-Identifier: GPL-2.0
#
# Recognises what the kernel prints when something is wrong with it. Not counted: the memory
# failures that a test causes, direct I/O to a page that a test stores to meanwhile, and messages
# of virtme-ng's init, which uses the same log.

function is_complaint(line) {
	if (line ~ /Memory failure: |Page cache invalidation failure on direct I\/O|virtme-ng-init: /)
		return 0
	return line ~ /WARNING:|BUG:|BUG |INFO: .*(possible|suspicious|trying to register|task .* blocked|rcu.*detected)|Oops|general protection fault|Kernel panic|KASAN|UBSAN|KCSAN|KFENCE|Call [Tt]race:|Unable to handle kernel|Internal error: |detected stalls|soft lockup|hard LOCKUP|Bad page|corruption|unreferenced object|scheduling while atomic|still has locks held|refcount_t:/
}

# With only=1, prints these lines, and exits with status 1 if there are none.
only && is_complaint($0) { print; found = 1 }
END { if (only) exit !found }
