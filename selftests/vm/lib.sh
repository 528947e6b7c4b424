# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the VM tests share. A test starts with
#
#   . "$(dirname "$0")/lib.sh"
#
# which brings tap.sh along, and calls
#
#   vm_up               module, store disk, six peers, sextantd: all of it, or:
#   vm_load_module [PARAMETER=VALUE]...
#   vm_mount_store      a fresh ext4 on /dev/vda; sets and exports SEXTANT_STORE
#   vm_cluster_up       tools/cluster up; sets and exports SEXTANT_CONFIG
#   vm_daemon_start, vm_daemon_stop, vm_daemon_kill (SIGKILL)
#   vm_need_built       skip the whole test unless module and programs are built
#   kernel_log_mark     from here on ...
#   kernel_log_clean    ... one case: the kernel has complained of nothing
#   vm_teardown         undo all; selftests/run does it after each test
#
# /dev/vda is the store's disk, /dev/vdb (2 GiB) is the test's own.

vm_tree=${SEXTANT_TREE:-$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")}
vm_state=${SEXTANT_CLUSTER_STATE:-/run/sextant-cluster}
vm_module=$vm_tree/build/$(uname -r)/dm-sextant.ko
export SEXTANT_STORE=/srv/sextant-store
export SEXTANT_CONFIG=$vm_state/sextant.conf
export DM_DISABLE_UDEV=1
PATH=$vm_tree/build/bin:$vm_tree/tools:$PATH
# shellcheck source=../lib/tap.sh
. "$vm_tree/selftests/lib/tap.sh"

vm_need_vm() {
	[ "$(hostname)" = sextant-vm ] || skip_all "only in the test VM: selftests/run vm"
}

vm_need_built() {
	vm_need_vm
	local each
	for each in "$vm_module" "$vm_tree"/build/bin/{sextant-peerd,sextantd,sextant}; do
		[ -e "$each" ] || skip_all "${each#"$vm_tree"/} is not built"
	done
}

vm_load_module() {
	local needed
	[ ! -d /sys/module/dm_sextant ] || return 0
	# insmod, unlike modprobe, does not look for what a module needs.
	modprobe dm-mod
	for needed in $(modinfo -F depends "$vm_module" | tr , ' '); do
		modprobe "$needed" || return 1
	done
	# The crypto API would look for these itself, by udev-less modprobe, at the
	# first seal; loading them here keeps that out of what is measured.
	modprobe -a aesni-intel ghash-clmulni-intel gcm 2>/dev/null
	insmod "$vm_module" "$@"
}

vm_mount_store() {
	! mountpoint -q "$SEXTANT_STORE" || return 0
	mkdir -p "$SEXTANT_STORE"
	mkfs.ext4 -q -F -E lazy_itable_init=1,lazy_journal_init=1 /dev/vda &&
		mount /dev/vda "$SEXTANT_STORE"
}

vm_cluster_up() { cluster up >/dev/null; }

vm_daemon_answers() { sextant volume list; }

vm_daemon_start() {
	sextantd --config "$SEXTANT_CONFIG" </dev/null >>"$vm_state/sextantd.log" 2>&1 &
	echo $! >"$vm_state/sextantd.pid"
	poll 30 vm_daemon_answers && return
	diag "sextantd does not answer; its log:"
	diag "$(tail -n 20 "$vm_state/sextantd.log")"
	return 1
}

vm_daemon_pid() { cat "$vm_state/sextantd.pid" 2>/dev/null; }

vm_daemon_gone() {
	local pid
	pid=$(vm_daemon_pid) || return 0
	# A zombie, whose parent is still busy, has no program any more.
	! readlink "/proc/$pid/exe" 2>/dev/null | grep -q /sextantd
}

vm_daemon_end() { # SIGNAL
	vm_daemon_gone || kill "-$1" "$(vm_daemon_pid)"
	poll 30 vm_daemon_gone && rm -f "$vm_state/sextantd.pid"
}
vm_daemon_stop() { vm_daemon_end TERM; }
vm_daemon_kill() { vm_daemon_end KILL; }

vm_up() {
	vm_need_built
	vm_load_module "$@" || bail "the module cannot be loaded: $(dmesg | tail -n 3)"
	vm_mount_store || bail "the store's disk cannot be made or mounted"
	vm_cluster_up || bail "the six peers do not start"
	vm_daemon_start || bail "sextantd does not start"
}

kernel_log_mark() { vm_log_from=$(dmesg | wc -l); }

kernel_log_clean() { # [DESCRIPTION]
	local log=/tmp/kernel-log.$$ reports
	dmesg | tail -n "+$((${vm_log_from:-0} + 1))" >"$log"
	if reports=$("$vm_tree/tools/vm.d/kernel-reports" "$log"); then
		fail "${1:-the kernel has complained of nothing}"
		diag "$reports"
	else
		pass "${1:-the kernel has complained of nothing}"
	fi
	rm -f "$log"
}

# ------------------------------------------------------------------ teardown
# It comes after a test that may have failed anywhere: each step is bounded, and
# the last word is whether the VM is as it was.

vm_unmount_all() {
	local place
	awk '$1 ~ "^/dev/(mapper/|dm-)" { print $2 }' /proc/mounts | tac |
		while read -r place; do
			fuser -skm "$place"
			timeout 20 umount "$place" || timeout 5 umount -l "$place"
		done
}

vm_remove_devices() {
	local name
	[ -d /sys/module/dm_mod ] || return 0
	for name in $(timeout 20 dmsetup ls --target sextant 2>/dev/null | awk '$2 ~ /\(/ { print $1 }'); do
		timeout 30 sextant volume detach "$name" >/dev/null 2>&1 ||
			timeout 20 dmsetup remove --force "$name"
	done
}

vm_teardown() {
	vm_unmount_all
	if [ -d "$vm_state" ] && [ -d /sys/module/dm_sextant ]; then
		# What a volume still has to write goes nowhere while its peers are cut off.
		cluster heal >/dev/null 2>&1
	fi
	vm_remove_devices
	vm_daemon_gone || vm_daemon_end TERM || vm_daemon_end KILL
	[ ! -e "$vm_state" ] || timeout 60 cluster down
	if [ -d /sys/module/dm_sextant ]; then
		timeout 30 rmmod dm_sextant || return 1
	fi
	! mountpoint -q "$SEXTANT_STORE" || timeout 30 umount "$SEXTANT_STORE"
}
