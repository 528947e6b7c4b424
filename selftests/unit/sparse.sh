#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# sparse has nothing to say of the module, on both kernels.
# deadline: 600
set -u
here=$(realpath "$(dirname "$0")")
# shellcheck source=../lib/tap.sh
. "$here/../lib/tap.sh"
cd "$here/../.." || exit 1

for series in 6.1 6.12; do
	headers=$(find /lib/modules -maxdepth 1 -name "$series.*" -printf '%f\n' | sort -V | tail -n 1)
	if output=$(make --no-print-directory sparse KVER="$headers" 2>&1); then
		pass "sparse is silent on Linux $series"
	else
		fail "sparse is silent on Linux $series"
		diag "$(tail -n 20 <<<"$output")"
	fi
done
done_testing
