#!/usr/bin/env bash
# Runs a command beside a demo of its own (private PostgreSQL, service, simulated providers), which ends with it:
#
#   scripts/with-demo.sh sh -c 'curl -H "Authorization: Bearer $OTPOST_KEY" $OTPOST_URL/v1/messages'
#
# The command gets OTPOST_URL, OTPOST_KEY and OTPOST_SIMULATOR. The program is target/debug/otpost, built when needed, or
# OTPOST_PROGRAM. Needs python3 to read the demo's connection file.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: scripts/with-demo.sh COMMAND [ARGUMENT...]" >&2; exit 2; }

if [ -z "${OTPOST_PROGRAM:-}" ]; then
  cargo build --quiet
  OTPOST_PROGRAM=target/debug/otpost
fi
export OTPOST_PROGRAM

dir=$(mktemp -d)
# The private PostgreSQL of root's demo runs as another user.
chmod 755 "$dir"
demo=
finish() {
  if [ -n "$demo" ]; then kill "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; fi
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$OTPOST_PROGRAM" demo --listen 127.0.0.1:0 --data-dir "$dir/data" >"$dir/demo.log" 2>&1 </dev/null &
demo=$!
file=$dir/data/demo.json
for _ in $(seq 600); do
  [ ! -s "$file" ] || break
  kill -0 "$demo" 2>/dev/null || break
  sleep 0.1
done
[ -s "$file" ] || { cat "$dir/demo.log" >&2; echo "with-demo: otpost demo did not start" >&2; exit 1; }

value() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$file" "$1"; }
status=0
OTPOST_URL=$(value api_url) OTPOST_KEY=$(value api_key) OTPOST_SIMULATOR=$(value simulator_url) "$@" || status=$?
exit "$status"
