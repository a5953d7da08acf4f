#!/usr/bin/env bash
# Opens psql on the database of the running demo; arguments go to psql: scripts/db.sh -c 'select 1'
# The demo writes the database's address into demo.json in its data directory.
set -euo pipefail
cd "$(dirname "$0")/.."

url=${DATABASE_URL:-}
if [ -z "$url" ]; then
  if [ "$(id -u)" = 0 ]; then data=/var/lib/otpost; else data=${XDG_DATA_HOME:-$HOME/.local/share}/otpost; fi
  data=${OTPOST_DATA_DIR:-$data}
  # The default folder first; then a demo whose --data-dir is this folder or inside it.
  for file in "$data"/demo/demo.json "$data"/demo.json "$data"/*/demo.json; do
    [ -r "$file" ] || continue
    url=$(sed -n 's/.*"database_url" *: *"\([^"]*\)".*/\1/p' "$file" | head -n 1)
    break
  done
fi
[ -n "$url" ] || { echo "db: no demo.json found: start 'make demo' first, or set DATABASE_URL or OTPOST_DATA_DIR" >&2; exit 1; }
psql=$(env -u DATABASE_URL scripts/postgres.sh)/psql
[ -x "$psql" ] || psql=psql
exec "$psql" "$url" "$@"
