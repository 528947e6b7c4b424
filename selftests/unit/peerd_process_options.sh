#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# sextant-peerd's command line: what it refuses and how, exit codes, readiness.
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/tap.sh

peerd=${SEXTANT_PEERD:-${SEXTANT_BIN:-build/bin}/sextant-peerd}
[ -x "$peerd" ] || skip_all "sextant-peerd is not built"
scratch=$(mktemp -d)
pid=
finish() {
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
	rm -rf "$scratch"
}
trap finish EXIT
mkdir "$scratch/store"
port=$((20000 + RANDOM % 10000))
good=(--name az1a --az az1 --listen "127.0.0.1:$port" --store "$scratch/store")

run() { # ARGUMENTS: sets said, reported and status
	said=$(timeout 10 "$peerd" "$@" 2>"$scratch/stderr")
	status=$?
	reported=$(cat "$scratch/stderr")
}
refused() { # STATUS SENTENCE ARGUMENTS...
	local wanted=$1 sentence=$2
	shift 2
	run "$@"
	is "$status" "$wanted" "refused with $wanted: ${*:-nothing}"
	like "$reported" "$sentence" "and says why"
}

run --help
is "$status" 0 "--help"
for each in name az listen store log-bytes-max chunk-bytes debug help version; do
	like "$said" "--$each" "names --$each"
	like "$(cat Documentation/man/sextant-peerd.8.rst)" "--$each" "and so does the manual"
done
run --version
is "$status" 0 "--version"
like "$said" "protocol 1" "says which protocol"

refused 2 "--name is missing"
refused 2 "--az is missing" --name az1a
refused 2 "--listen is missing" --name az1a --az az1
refused 2 "--store is missing" --name az1a --az az1 --listen 127.0.0.1:1
refused 2 "is not a name" --name -x
refused 2 "is not a name" --az "a b"
refused 2 "is not ADDRESS:PORT" --listen localhost:7100
refused 2 "is not ADDRESS:PORT" --listen 127.0.0.1
refused 2 "is not a size" --log-bytes-max much
refused 2 "is not a multiple of 4K" --chunk-bytes 4K
refused 2 "is not a multiple of 4K" --chunk-bytes 1G
refused 2 "is not a multiple of 4K" --chunk-bytes 262145
refused 2 "--log-bytes-max is too small" "${good[@]}" --log-bytes-max 4M
refused 2 "--help" --unknown
refused 2 "is not an option" "${good[@]}" extra
refused 1 "cannot open the store" "${good[@]}" --store "$scratch/none"
refused 1 "cannot listen on" "${good[@]}" --listen 192.0.2.1:7100

mkdir "$scratch/store/00000000-0000-4000-8000-000000000001.new"
NOTIFY_SOCKET=$scratch/notify python3 - "$scratch/notify" >"$scratch/told" <<'PYTHON' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(20)
print(s.recv(4096).decode())
PYTHON
listener=$!
poll 10 test -S "$scratch/notify"
NOTIFY_SOCKET=$scratch/notify "$peerd" "${good[@]}" --chunk-bytes 1M --log-bytes-max 8M --debug \
	2>"$scratch/log" &
pid=$!
wait "$listener"
like "$(cat "$scratch/told")" "READY=1" "systemd is told when it is ready"
like "$(cat "$scratch/log")" "az1a in az1 listens on 127.0.0.1:$port" "and the log where"
check_fails "what was half made is gone" test -e "$scratch"/store/*.new
refused 1 "is in use by another" "${good[@]}" --listen "127.0.0.1:$((port + 1))"
kill -TERM "$pid"
wait "$pid"
is $? 0 "SIGTERM: it stops with 0"
"$peerd" "${good[@]}" 2>"$scratch/log" &
pid=$!
poll 10 grep -q listens "$scratch/log"
kill -INT "$pid"
wait "$pid"
is $? 0 "and with SIGINT"
pid=
done_testing
