#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# sextantd and sextant on this host, with six real peers and no kernel module:
# what is refused and how, creation and deletion, JSON, exit codes, completion.
# deadline: 120
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=../lib/tap.sh
. selftests/lib/tap.sh

bin=$PWD/build/bin
tree=$PWD
for each in sextantd sextant sextant-peerd; do
	[ -x "$bin/$each" ] || skip_all "$each is not built"
done
folder=$(mktemp -d /var/tmp/sextant-control-XXXXXX) || exit 1
conf=$folder/sextant.conf
daemon=
declare -A peer_pid
base=$((20000 + RANDOM % 20000))
peers=(az1a az1b az2a az2b az3a az3b)

clean_up() {
	local pid
	for pid in $daemon "${peer_pid[@]}"; do
		disown "$pid" 2>/dev/null
		kill -KILL "$pid" 2>/dev/null
	done
	rm -rf "$folder"
}
trap clean_up EXIT

write_config() { # FURTHER-LINES
	local i=0 peer
	{
		printf '[control]\nsocket = %s\nstate_dir = %s\nkey_dir = %s\nhost = tester\n' \
			"$folder/socket" "$folder/state" "$folder/keys"
		printf '%b' "${1-}"
		for peer in "${peers[@]}"; do
			printf '[peer %s]\naz = %s\naddress = 127.0.0.1:%d\n' "$peer" "${peer%?}" \
				$((base + i))
			i=$((i + 1))
		done
	} >"$conf"
}

start_peer() { # INDEX
	local name=${peers[$1]}
	mkdir -p "$folder/$name"
	"$bin/sextant-peerd" --name "$name" --az "${name%?}" --listen "127.0.0.1:$((base + $1))" \
		--store "$folder/$name" 2>>"$folder/$name.log" &
	peer_pid[$name]=$!
}

is_gone() { ! kill -0 "$1" 2>/dev/null; }
kill_peer() {
	# Disowned, so that the shell does not report its end.
	disown "${peer_pid[$1]}" 2>/dev/null
	kill -KILL "${peer_pid[$1]}"
	poll 10 is_gone "${peer_pid[$1]}"
	unset "peer_pid[$1]"
}

start_daemon() {
	"$bin/sextantd" --config "$conf" 2>>"$folder/sextantd.log" &
	daemon=$!
	poll 10 test -S "$folder/socket"
}

stop_daemon() {
	kill "$daemon"
	wait "$daemon"
	local status=$?
	daemon=
	return $status
}

# Runs sextant; sets said (both streams) and status.
run() {
	status=0
	said=$("$bin/sextant" --config "$conf" "$@" 2>&1) || status=$?
}

refused() { # STATUS REGEX ARGUMENT...
	local wanted=$1 regex=$2
	shift 2
	run "$@"
	is "$status" "$wanted" "exit status $wanted: sextant $*"
	like "$said" "$regex" "  with a sentence that says why"
	is "$(grep -c . <<<"$said")" 1 "  and no more"
}

# ------------------------------------------------------------ configuration

bad_config() { # REGEX LINES DESCRIPTION
	write_config "$2"
	status=0
	said=$("$bin/sextantd" --config "$conf" 2>&1) || status=$?
	is "$status" 1 "sextantd refuses $3"
	like "$said" "$1" "  naming the line and the way out"
}

bad_config ':6: \[control\] has no key .frob.; it has' 'frob = 1\n' "an unknown key"
bad_config ':7: there is no section \[frob\]' '[frob]\nx = 1\n' "an unknown section"
bad_config ':6: lease_ms must be a number' 'lease_ms = soon\n' "a lease that is no number"
bad_config ':6: lease_ms must be .* from 500 to 30000' 'lease_ms = 31000\n' "a lease that is too long"
bad_config ':6: .*neither' 'nonsense\n' "a line without a value"
bad_config ':7: address must be a numeric' '[peer x]\naddress = host:1\n' "an address by name"
bad_config '\[peer x\] lacks address' '[peer x]\naz = az1\n' "a peer without an address"
bad_config ':6: the line is longer' "host = $(printf 'x%.0s' {1..250})\n" "an over-long line"
said=$("$bin/sextantd" --config "$folder/none" 2>&1)
like "$said" 'cannot read the configuration .*none: No such file' "a configuration that is not there"
"$bin/sextantd" --frob >/dev/null 2>&1
is $? 2 "an unknown option of sextantd: exit status 2"

write_config 'lease_ms = 1000\n'
run list
is "$status" 7 "exit status 7 without sextantd"
like "$said" 'does not answer at .*systemctl start' "  with a sentence that says what to do"

# ------------------------------------------------------------------ the daemon

for i in 0 1 2 3 4 5; do start_peer $i; done
start_daemon || bail "sextantd does not start: $(cat "$folder/sextantd.log")"
all_up() { run peer list --json && [ "$(jq '[.peers[]|select(.reachable)]|length' <<<"$said")" = 6 ]; }
poll 20 all_up || bail "the peers do not come up"
is "$(stat -c %a "$folder/socket")" 600 "the socket is for its owner alone"
second=$("$bin/sextantd" --config "$conf" 2>&1)
like "$second" 'another sextantd listens' "a second sextantd on the socket is refused"
raw() { python3 -c 'import socket,sys
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(eval(sys.argv[2]))
print(s.recv(65536).decode())' "$folder/socket" "$1" 2>&1; }
like "$(raw "b'nonsense\\n'")" 'not a line of JSON' "a line that is no JSON is refused"
like "$(raw "b'{\"verb\":\"frob\"}\\n'")" 'no such request' "an unknown verb is refused"
like "$(raw "b'{\"a\":\"' + b'x'*70000 + b'\"}\\n'")" 'not a line of JSON|Connection reset|Broken pipe' \
	"an over-long request is refused"
like "$(raw "b'{\"verb\":\"volume.attach\"}\\n'")" '"ok":false' "a request without its fields is refused"
check "and the daemon lives" "$bin/sextant" --config "$conf" list

# ------------------------------------------------------------------ bad usage

refused 2 "which volume" volume create
refused 2 "no command 'volume frob'" volume frob
refused 2 "needs a size" volume create v
refused 2 "more than 0" volume create v --size 0
refused 2 "multiple of 4 KiB, and 4097" volume create v --size 4097
refused 2 "not a size" volume create v --size -1G
refused 2 "too large" volume create v --size 99999999T
refused 2 "no name" volume create a/b --size 1G
refused 2 "no name" volume create 01234567-89ab-cdef-0123-456789abcdef --size 1G
refused 2 "multiple of 128 KiB" volume create v --size 1G --pg-size 1000K
refused 2 "multiple of 128 KiB" volume create v --size 1G --pg-size 512K
refused 2 "exactly six peers and --peers names 5" volume create v --size 1G --peers az1a,az1b,az2a,az2b,az3a
refused 2 "exactly six peers and --peers names 7" volume create v --size 1G --peers az1a,az1b,az2a,az2b,az3a,az3b,az3b
refused 2 "named twice" volume create v --size 1G --peers az1a,az1a,az2a,az2b,az3a,az3b
refused 2 "no peer 'nosuch'" volume create v --size 1G --peers az1a,nosuch,az2a,az2b,az3a,az3b
refused 2 "tls' is not served" volume create v --size 1G --transport tls
refused 2 "no transport 'frob'" volume create v --size 1G --transport frob
refused 2 "too much" volume create v w --size 1G
refused 2 "say --yes" volume delete v
refused 2 "not a whole number" detach v --timeout soon
refused 2 "error:SECONDS" attach v --no-quorum maybe
refused 2 "128K to 1G" attach v --max-dirty 1K
refused 2 "from 0 to 2" attach v --read-verify 3
refused 2 "50 to 600000" attach v --read-timeout 1
refused 2 "no name for a device" attach v --name a/b
refused 3 "there is no volume 'v'" attach v
refused 3 "there is no volume 'v'" status v
refused 3 "there is no volume 'v'" volume delete v --yes
refused 3 "not attached here" detach v
run volume create --frob
is "$status" 2 "an unknown option: exit status 2"
is "$(ls "$folder/keys" 2>/dev/null)" "" "nothing was made by any of these"
for words in "" volume peer "volume create" attach detach list status "volume delete" "peer list"; do
	# shellcheck disable=SC2086  # words, split on purpose
	run $words --help
	like "$status $said" '^0 usage: ' "help: sextant $words --help"
done

# ------------------------------------------------------------ create and delete

run volume create db --size 64M --pg-size 16M
is "$status" 0 "a volume is created"
uuid=$said
like "$uuid" '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' "its UUID is printed"
key=$folder/keys/$uuid.1.key
is "$(stat -c %a "$folder/keys") $(stat -c %a "$key") $(wc -c <"$key")" "700 600 65" \
	"its key is in a file of its owner alone"
if grep -qF "$(head -c 64 "$key")" "$folder"/*.log; then
	fail "the key is in no log"
else
	pass "the key is in no log"
fi
if grep -rqF "$(head -c 64 "$key")" "${peers[@]/#/$folder/}"; then
	fail "nor in a store"
else
	pass "nor in a store"
fi
refused 1 "a volume 'db' already" volume create db --size 64M
run list --json
is "$(jq -c '.volumes[0] | [.name,.uuid,.size_bytes,.pg_bytes,.peers_present,.attached,.device]' <<<"$said")" \
	"[\"db\",\"$uuid\",67108864,16777216,6,false,null]" "list --json shows it"
run list
like "$said" $'\ndb +64.0 MiB +6 of 6 +detached' "list shows it"
unlike "$said" $'\033' "  without colour where no terminal is"
run status db --json
is "$(jq -c '.volumes[0] | [.name,.state,(.peers|length),(.peers|map(.state)|unique)]' <<<"$said")" \
	'["db","detached",6,["reachable"]]' "status --json of a volume that is not here"
run status "$uuid"
like "$said" '^db +detached' "status by UUID"
run peer list --json
is "$(jq -c '.peers[0] | [.name,.az,.reachable,.volumes,.free_bytes > 0]' <<<"$said")" \
	'["az1a","az1",true,1,true]' "peer list --json"
lines=$(timeout 3 "$bin/sextant" --config "$conf" status --json --watch | head -n 2 | jq -c .volumes)
is "$lines" $'[]\n[]' "status --watch --json: an object a line"

kill_peer az2b
refused 4 "takes all six peers \(az2b: c" volume create other --size 64M
is "$(find "$folder/keys" -name '*.key' | wc -l)" 1 "its key was taken away again"
refused 4 "takes all six peers" volume delete db --yes
kill_peer az1a
kill_peer az3a
run list
like "$said" $'\ndb +64.0 MiB +3 of 6' "list with three peers dead"
like "$said" "3 of 6 peers answer" "  says that there may be more"
start_peer 0
start_peer 3
start_peer 4
poll 20 all_up || bail "the peers do not come back"
refused 1 "device-mapper does not make" attach db
is "$(find "$folder/keys" -name '*.key' | wc -l)" 1 "an attach that fails leaves the key alone"
chmod 644 "$key"
refused 6 "must be a regular file of sextantd's user with mode 0600" attach db
chmod 600 "$key"
mv "$key" "$key.away"
refused 6 "cannot read the key file .*$uuid" attach db
head -c 64 /dev/zero | tr '\0' 0 >"$key"
echo >>"$key"
chmod 600 "$key"
refused 6 "wrong key: .*$uuid.1.key" attach db
mv "$key.away" "$key"

stop_daemon
ok $? "sextantd stops when told"
start_daemon
run list
like "$said" $'\ndb ' "and finds the volume again"
run volume delete db --yes
is "$status" 0 "it is deleted"
is "$(find "$folder/keys" -name '*.key' | wc -l)" 0 "its key too"
run list --json
is "$(jq -c .volumes <<<"$said")" "[]" "and it is gone from the peers"

# ------------------------------------------------------------------ completion

complete_words() { # WORD...
	(
		PATH=$bin:$PATH
		export SEXTANT_CONFIG=$conf
		compopt() { :; }
		# shellcheck source=../../tools/completion/sextant
		. "$tree/tools/completion/sextant"
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		_sextant
		echo "${COMPREPLY[*]}"
	)
}
run volume create vol1 --size 64M
is "$(complete_words sextant vo)" "volume" "completion of a command"
is "$(complete_words sextant volume att)" "attach" "of the next word"
is "$(complete_words sextant attach vo)" "vol1" "of a volume"
is "$(complete_words sextant attach --no)" "--no-quorum" "of an option"
is "$(complete_words sextant volume create x --peers az1)" "az1a az1b" "of peers"
is "$(complete_words sextant volume create x --peers az1a,az3)" "az1a,az3a az1a,az3b" "of the next peer"
stop_daemon
ok $? "sextantd stops"
done_testing
