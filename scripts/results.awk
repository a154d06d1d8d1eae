# SPDX-License-Identifier: GPL-2.0
#
# Turns what guest-tests printed, and that guest's kernel log, into lines
# "passed|failed|skipped NAME":
#
#   awk -v planned_programs="..." -f complaints.awk -f results.awk OUTPUT kernel_log=1 LOG

function result(kind, name) { print kind " " name }

# A TAP result line, of a program or of a KUnit suite.
function tap(prefix, line,    bad, name, reason) {
	bad = line ~ /^not ok/
	sub(/^(not )?ok +[0-9]+ *(- )?/, "", line)
	name = line
	sub(/ *# .*/, "", name)
	seen++
	if (line ~ /# SKIP/) {
		reason = line
		sub(/.*# SKIP */, "", reason)
		result("skipped", prefix " " name (reason == "" ? "" : ": " reason))
	} else if (bad) {
		result("failed", prefix " " name)
		bad_ones++
	} else {
		result("passed", prefix " " name)
	}
}

BEGIN {
	wanted_count = split(planned_programs, wanted, " ")
	section = sections[++section_count] = "boot"
}

{ sub(/\r$/, "") }

# The log has the same marks. Messages before the first mark come from the boot.
kernel_log && match($0, /cpu_opv: ##program /) {
	section = substr($0, RSTART + RLENGTH)
	sections[++section_count] = section
	next
}
kernel_log && is_complaint($0) {
	if (!complaints[section]++) {
		sub(/^\[[^]]*\] */, "")
		first_complaint[section] = $0
	}
}
kernel_log { next }

$1 == "##kunit" { mode = "kunit"; suite = $2; next }
$1 == "##end" { mode = ""; next }
$1 == "##program" { mode = "program"; program = $2; plan = -1; seen = bad_ones = 0; next }
$1 == "##status" {
	mode = ""
	finished[$2] = 1
	if ($3 == 4 && seen == 0)
		result("skipped", "kselftest " $2)
	else if (plan >= 0 && seen < plan)
		result("failed", "kselftest " $2 ": planned " plan " tests, " seen " gave a result (status " $3 ")")
	else if (seen == 0)
		result("failed", "kselftest " $2 ": no test gave a result (status " $3 ")")
	else if ($3 != 0 && bad_ones == 0 && $3 != 4)
		result("failed", "kselftest " $2 ": ended with status " $3)
	next
}
$1 == "##pins" {
	result($3 == 0 ? "passed" : "failed", "pins balanced after " $2 ($3 == 0 ? "" : ": " $3 " pages still pinned"))
	next
}
$1 == "##scheduler" {
	result($3 == 0 ? "passed" : "failed", "the scheduler was still there after " $2)
	next
}
$1 == "##tainted" {
	result($3 == 0 ? "passed" : "failed", "kernel not tainted by " $2 ($3 == 0 ? "" : ": by " $3))
	next
}
$1 == "##done" { done = 1; next }

mode == "program" && plan < 0 && /^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; next }
mode == "program" && /^(not )?ok / { tap("kselftest " program, $0); next }
# The results of a suite are indented; its summary line is not.
mode == "kunit" && /^    (not )?ok / {
	sub(/^ +/, "")
	tap("KUnit " suite, $0)
	if (suite ~ /cpu_opv/)
		ours++
}

END {
	for (i = 1; i <= section_count; i++) {
		section = sections[i]
		if (complaints[section])
			result("failed", "kernel log clean after " section ": " complaints[section] " lines of complaint, the first: " first_complaint[section])
		else
			result("passed", "kernel log clean after " section)
	}
	if (!kernel_log)
		result("failed", "kselftest: there is no log of the kernel")
	for (i = 1; i <= wanted_count; i++)
		if (!(wanted[i] in finished))
			result("failed", "kselftest " wanted[i] ": did not end")
	if (!done)
		result("failed", "kselftest: the run in the guest did not come to its end")
	if (!ours)
		result("failed", "KUnit: no test of cpu_opv ran")
}
