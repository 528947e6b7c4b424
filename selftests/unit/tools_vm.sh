#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# tools/vm: what it refuses, and that nothing a VM says or does gets lost.
# deadline: 240
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/tap.sh

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
vm() { # ARGUMENTS: runs tools/vm; sets said, reported and status
	said=$(tools/vm "$@" 2>"$scratch/stderr")
	status=$?
	reported=$(cat "$scratch/stderr")
}
refused() { # SENTENCE ARGUMENTS...
	local sentence=$1
	shift
	vm "$@"
	is "$status" 2 "refused: tools/vm $*"
	like "$reported" "$sentence" "and says why"
}

refused "say run or shell" start
refused "no command" run
refused "COMMAND comes after --" run true
refused "--kernel is 6.1 or 6.12" run --kernel 5.10 -- true
refused "--mem takes a whole number" run --mem much -- true
refused "--disk needs a value" run --disk
refused "--disk takes a whole number" run --disk 0 -- true
refused "there is no file '/nonexistent'" run --disk-image /nonexistent -- true
like "$(tools/vm --help)" "exit status" "--help explains the exit status"

# One boot for all that needs no boot of its own; variables pass through.
truncate -s 8M "$scratch/kept"
SEXTANT_SELFTEST="a b'c" vm run --disk 16 --disk-image "$scratch/kept" --out "$scratch/out" -- bash -c '
	echo "variable: $SEXTANT_SELFTEST"
	echo "directory: $PWD"
	echo "user: $(id -u)"
	echo "sizes: $(blockdev --getsize64 /dev/vda) $(blockdev --getsize64 /dev/vdb)"
	seq 200000 | md5sum
	seq 200000 >"$SEXTANT_OUT/numbers"
	seq 200000
	echo kept | dd of=/dev/vdb oflag=direct conv=sync bs=4096 status=none
	echo to stderr >&2
	echo into the tree >README.written-in-the-vm
	sleep 1000 &
	exit 42'
sum=$(seq 200000 | md5sum)
is "$status" 42 "the exit status is the command's"
like "$said" "variable: a b'c" "SEXTANT_ variables are passed on as they are"
like "$said" "directory: $PWD" "the command runs in the source tree"
like "$said" "user: 0" "as root"
like "$said" "sizes: 16777216 8388608" "the disks are there in the order given"
like "$said" "to stderr" "standard error is part of the output"
is "$(grep -c '^[0-9]\+$' <<<"$said")" 200000 "no line of a long output is lost"
is "$(grep '^[0-9]\+$' <<<"$said" | md5sum)" "$sum" "nor a byte"
is "$(md5sum <"$scratch/out/numbers")" "$sum" "what is written under SEXTANT_OUT comes back"
is "$(head -c 4 "$scratch/kept")" kept "what is written to a --disk-image stays"
check_fails "what the VM writes into the tree does not reach the host" test -e README.written-in-the-vm

vm run -- bash -c "echo c >/proc/sysrq-trigger"
is "$status" 123 "a panic makes the run fail"
like "$reported" "Kernel panic - not syncing: sysrq triggered crash" "and is printed"

vm run --allow-crash -- bash -c 'echo c >/proc/sysrq-trigger'
is "$status" 125 "--allow-crash: the panic is no report, but the command did not end"

for report in 'WARNING: CPU: 0 PID: 1 at kernel/made-up.c:1' \
	'INFO: task fio:12 blocked for more than 60 seconds.' \
	'WARNING: possible circular locking dependency detected' \
	'BUG: unable to handle page fault for address: 0'; do
	printf '[    1.0] fine\n[    2.0] %s\n' "$report" >"$scratch/console"
	check "the console is searched for '$report'" tools/vm.d/kernel-reports "$scratch/console"
done
echo '[    1.0] sextant: volume attached' >"$scratch/console"
check_fails "an ordinary console has no report" tools/vm.d/kernel-reports "$scratch/console"

vm run --timeout 15 --out "$scratch/late" -- bash -c 'echo begun; echo early >"$SEXTANT_OUT/file"; sleep 1000'
is "$status" 124 "a command that does not end is ended by --timeout"
like "$said" begun "what it said until then is there"
is "$(cat "$scratch/late/file")" early "and what it wrote under SEXTANT_OUT"

tools/vm run --kernel 6.1 -- uname -r >"$scratch/first" 2>&1 &
first=$!
tools/vm run --kernel 6.12 -- uname -r >"$scratch/second" 2>&1 &
second=$!
wait "$first" || true
wait "$second" || true
like "$(cat "$scratch/first")" "^6\.1\.[0-9]+-[0-9]+-amd64$" "two at once: one runs Linux 6.1"
like "$(cat "$scratch/second")" "^6\.12\.[0-9]+\+deb12-amd64$" "and the other 6.12"
check_fails "and nothing is left of them" grep -l "uname -r" build/vm/run.*/command
done_testing
