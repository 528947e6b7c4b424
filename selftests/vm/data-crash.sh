#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# usage: data-crash.sh load|verify        (in the VM, for 30-durability-crash.host)
# load ends by cutting its own machine off, verify looks at what is left.
# shellcheck disable=SC2119,SC2317,SC2086,SC2154
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=data-lib.sh
. "$(dirname "$0")/data-lib.sh"

name=crash
device=/dev/mapper/$name
out=${SEXTANT_OUT:?}
more_than() { [ "$(data-blocks.py count "$1")" -gt "$2" ]; }

case ${1-} in
load)
	vm_up
	data_volume $name 64M
	touch "$out/ordered" "$out/mixed"
	# What is acknowledged reaches the host at once: the journal outlives this machine.
	data_run_bg data-blocks.py load $device "$out/ordered" --ordered --blocks 1024
	data_run_bg data-blocks.py load $device "$out/mixed" --threads 4 --first 8192 --blocks 1024
	wait_for "the loads run" 60 more_than "$out/ordered" 100
	wait_for "both of them" 60 more_than "$out/mixed" 200
	# And something that nobody has acknowledged.
	dd if=/dev/urandom of=$device bs=64k seek=768 count=16 oflag=direct status=none
	echo b >/proc/sysrq-trigger
	sleep 30
	exit 1
	;;
verify)
	mkdir -p "$SEXTANT_STORE"
	check "the store's file system is mounted" mount /dev/vda "$SEXTANT_STORE"
	vm_up
	data_attach $name
	check "the volume is as it was after some write, no earlier than the last acknowledged" \
		data-blocks.py verify $device "$out/ordered" --prefix
	data-blocks.py verify $device "$out/ordered" --prefix
	check "every acknowledged write of four threads is there" \
		data-blocks.py verify $device "$out/mixed"
	is "$(data_field $name faults)" 0 "no read was answered badly"
	check "it can be written" data-blocks.py fill $device 0 64 1
	is "$(data-blocks.py expect $device 0 64 1)" "right 64 wrong 0 eio 0" "and read"
	data_detach $name
	data_teardown
	done_testing
	;;
*)
	echo "usage: data-crash.sh load|verify" >&2
	exit 2
	;;
esac
