# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # vm_... are lib.sh's
# What the tests of the data path share; sourced after lib.sh.
#
#   data_up_near AZ                vm_up, with this host in that AZ: it reads there first
#   data_volume NAME [SIZE]        create it and attach it, or bail
#   data_attach, data_detach NAME  bail when that fails
#   data_state, data_mode NAME     fields of the status line ...
#   data_field NAME WORD           ... and the word behind WORD: vdl, next, quorum, faults ...
#   data_field_is NAME WORD VALUE  for wait_for
#   data_mode_is NAME MODE         for wait_for
#   data_peers_up NAME NUMBER      so many peers are connected to the module
#   data_caught_up NAME [NUMBER]   so many (6) are, and have all that is durable
#   data_options NAME OPTION...    reload its table with exactly these options
#   data_kill_all SIGNAL           all six peers at once, and wait for their end
#   data_start_all
#   data_folders UUID              of the volume in the six stores, commas between
#   data_run_bg COMMAND...         in the background, output to a file; sets data_job
#   data_job_is_over JOB, data_job_ok JOB, data_job_output JOB
#   data_fio NAME ARG...           one fio job with verify; a case

data_dir=/run/sextant-data
mkdir -p "$data_dir"
PATH=$vm_tree/selftests/vm:$PATH	# data-blocks.py, data-store.py

data_up_near() { # AZ
	vm_load_module || bail "the module cannot be loaded: $(dmesg | tail -n 3)"
	vm_mount_store || bail "the store's disk cannot be made or mounted"
	vm_cluster_up || bail "the six peers do not start"
	sed -i "s/^\[control\]\$/&\naz = $1/" "$SEXTANT_CONFIG"
	vm_daemon_start || bail "sextantd does not start"
}

data_create() { # NAME [SIZE]
	local said
	said=$(timeout 60 sextant volume create "$1" --size "${2:-64M}" --pg-size 16M 2>&1) ||
		bail "volume $1 cannot be created: $said"
}

data_attach() {
	local said
	if ! said=$(timeout 60 sextant volume attach "$1" 2>&1); then
		diag "sextantd: $(tail -n 20 "$vm_state/sextantd.log")"
		diag "kernel: $(dmesg | tail -n 10)"
		bail "volume $1 cannot be attached: $said"
	fi
	[ -b "/dev/mapper/$1" ] || bail "attach says it is done, but there is no /dev/mapper/$1"
}

data_detach() {
	local said
	said=$(timeout 60 sextant volume detach "$1" 2>&1) ||
		bail "volume $1 cannot be detached: $said; $(dmsetup status "$1" 2>&1)"
}

data_volume() {
	data_create "$@"
	data_attach "$1"
}

data_uuid() { dmsetup table "$1" | cut -d' ' -f4; }
data_words() { dmsetup status "$1"; }
data_state() { data_words "$1" | cut -d' ' -f4; }
data_mode() { data_words "$1" | cut -d' ' -f5; }
data_field() { # NAME WORD
	data_words "$1" | awk -v word="$2" '{ for (i = 6; i < NF; i++) if ($i == word) { print $(i + 1); exit } }'
}
data_field_is() { [ "$(data_field "$1" "$2")" = "$3" ]; }
data_field_above() { [ "$(data_field "$1" "$2")" -gt "$3" ]; }
data_mode_is() { [ "$(data_mode "$1")" = "$2" ]; }
data_peers_up() { [ "$(data_words "$1" | grep -o ' az[123][ab]:up:' | wc -l)" -eq "$2" ]; }
data_peer_up() { data_words "$1" | grep -q " $2:up:"; }

data_caught_up() {
	data_words "$1" | awk -v wanted="${2:-6}" '
		{
			for (i = 6; i < NF; i++)
				if ($i == "vdl") vdl = $(i + 1)
			for (i = 6; i <= NF; i++)
				if (split($i, part, ":") == 3 && part[2] == "up" && part[3] >= vdl) good++
		}
		END { exit good < wanted }'
}

data_options() { # NAME OPTION...
	local name=$1 table
	shift
	# 0 SECTORS sextant UUID
	read -ra table <<<"$(dmsetup table "$name")"
	table=("${table[@]:0:4}")
	[ $# -eq 0 ] || table+=($# "$@")
	dmsetup load "$name" --table "${table[*]}" && dmsetup resume "$name"
}

data_peers="az1a az1b az2a az2b az3a az3b"
data_none_lives() { # PID...: none has a program any more
	local pid
	for pid in "$@"; do
		! readlink "/proc/$pid/exe" || return 1
	done
}
data_kill_all() { # SIGNAL
	local peer pids=()
	for peer in $data_peers; do pids+=("$(<"$vm_state/$peer.pid")"); done
	kill "-$1" "${pids[@]}"
	poll 60 data_none_lives "${pids[@]}"
}
data_start_all() {
	local peer
	for peer in $data_peers; do cluster start "$peer" || return 1; done
}
data_folders() { # UUID
	local peer all=
	for peer in $data_peers; do all+=,$SEXTANT_STORE/$peer/$1; done
	echo "${all:1}"
}

data_jobs=0
data_run_bg() {
	data_jobs=$((data_jobs + 1))
	data_job=$data_dir/job$data_jobs
	rm -f "$data_job".*
	# Its end is seen in a file, whoever waits; and it holds no pipe of its caller's.
	(
		status=0
		"$@" >"$data_job.out" 2>&1 </dev/null || status=$?
		echo "$status" >"$data_job.status"
	) >/dev/null 2>&1 &
	echo $! >"$data_job.pid"
}
data_job_is_over() { [ -s "$1.status" ]; }
data_job_ok() { [ "$(cat "$1.status" 2>/dev/null)" = 0 ]; }
data_job_output() { tail -n 15 "$1.out"; }

data_fio_quiet() { # ARG...: fio's exit status, and what it says on failure
	(cd "$data_dir" && timeout 150 fio --name=job --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 \
		--do_verify=1 --group_reporting --randseed=7 --output-format=terse "$@")
}

data_fio() { # DESCRIPTION ARG...
	local description=$1
	shift
	check "$description" data_fio_quiet "$@"
}

data_zeros() { # DEVICE OFFSET LENGTH (both in KiB, whole blocks): reads as zeros
	cmp -n $(($3 * 1024)) -i $(($2 * 1024)):0 "$1" /dev/zero
}

# What the tests of this family leave in the daemons' memory goes with vm_teardown.
data_teardown() {
	local pid
	for pid in "$data_dir"/job*.pid; do
		[ -e "$pid" ] || continue
		[ -s "${pid%.pid}.status" ] || pkill -KILL -P "$(cat "$pid")"
	done
	vm_teardown
	rm -rf "$data_dir"
}
