# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# TAP for tests written in bash. A test sources this file, calls the functions
# below, and ends with done_testing (or skip_all, or bail).
#
#   ok STATUS DESCRIPTION             passes when STATUS is 0
#   pass DESCRIPTION, fail DESCRIPTION
#   check DESCRIPTION COMMAND...      passes when COMMAND does; shows its output if not
#   check_fails DESCRIPTION COMMAND... passes when COMMAND fails
#   is GOT WANTED DESCRIPTION         passes when the two are the same text
#   like GOT REGEX DESCRIPTION        passes when GOT matches the extended regex
#   unlike GOT REGEX DESCRIPTION
#   skip DESCRIPTION REASON           one case that cannot be run here
#   wait_for DESCRIPTION SECONDS COMMAND...  passes once COMMAND does, fails after SECONDS
#   poll SECONDS COMMAND...           the same without a line of TAP: true or false
#   diag TEXT                         a line for the reader
#   done_testing                      prints the plan; exit status 0 or 1
#   skip_all REASON                   the whole test cannot be run here
#   bail REASON                       nothing further makes sense: fail and end

tap_count=0
tap_failed=0

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }

ok() {
	tap_count=$((tap_count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_count - $2"
	else
		tap_failed=$((tap_failed + 1))
		echo "not ok $tap_count - $2"
	fi
	return 0
}
pass() { ok 0 "$1"; }
fail() { ok 1 "$1"; }

check() {
	local description=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	ok "$status" "$description"
	[ "$status" -eq 0 ] || diag "'$*' gave $status and said: $output"
}

check_fails() {
	local description=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	if [ "$status" -ne 0 ]; then
		pass "$description"
	else
		fail "$description"
		diag "'$*' should have failed; it said: $output"
	fi
}

is() {
	if [ "$1" = "$2" ]; then
		pass "$3"
	else
		fail "$3"
		diag "got:    $1"
		diag "wanted: $2"
	fi
}

like() {
	if [[ $1 =~ $2 ]]; then
		pass "$3"
	else
		fail "$3"
		diag "got:            $1"
		diag "does not match: $2"
	fi
}

unlike() {
	if [[ $1 =~ $2 ]]; then
		fail "$3"
		diag "got:     $1"
		diag "matches: $2"
	else
		pass "$3"
	fi
}

skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

poll() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt "$end" ] || return 1
		sleep 0.1
	done
}

wait_for() {
	local description=$1 seconds=$2
	shift 2
	if poll "$seconds" "$@"; then
		pass "$description"
	else
		fail "$description"
		diag "'$*' did not succeed within $seconds seconds"
	fi
}

done_testing() {
	echo "1..$tap_count"
	if [ "$tap_count" -eq 0 ]; then
		diag "no case was run"
		exit 1
	fi
	[ "$tap_failed" -eq 0 ] || exit 1
	exit 0
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 4
}

bail() {
	fail "$1"
	echo "1..$tap_count"
	echo "Bail out! $1"
	exit 1
}
