#!/usr/bin/env bash
# Runs a command with DATABASE_URL (and PGHOST and so on, for psql) naming a throwaway PostgreSQL that holds the
# tables of migrations/:
#
#   scripts/with-postgres.sh psql            shows the schema
#   scripts/with-postgres.sh cargo check     see `make sqlx`
#
# The server ends with the command, and with this script however it dies (setpriv --pdeathsig). It keeps
# nothing, so it skips fsync. Needs psql to apply the migrations.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: scripts/with-postgres.sh COMMAND [ARGUMENT...]" >&2; exit 2; }

bin=$(env -u DATABASE_URL scripts/postgres.sh)
psql=$bin/psql
[ -x "$psql" ] || psql=$(command -v psql) || {
  echo "with-postgres: psql is missing; install Debian's package postgresql-client" >&2
  exit 3
}

# /dev/shm when it has 1 GiB free; the cluster takes about 50 MiB.
base=${TMPDIR:-/tmp}
free=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }') || free=0
[ "${free:-0}" -ge 1048576 ] && [ -w /dev/shm ] && base=/dev/shm
# Left by killed runs.
find "$base" -maxdepth 1 -name 'otpost-sql.*' -mmin +1440 ! -exec test -e {}/data/postmaster.pid \; -exec rm -rf {} + 2>/dev/null || true
dir=$(mktemp -d "$base/otpost-sql.XXXXXX")

# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
  user=postgres
  id -u postgres >/dev/null 2>&1 || user=nobody
  chown "$user:" "$dir"
  if command -v setpriv >/dev/null; then
    as=(setpriv --reuid "$(id -u "$user")" --regid "$(id -g "$user")" --clear-groups)
  else
    as=(su -s /bin/sh "$user" -c 'exec "$0" "$@"' --)
  fi
fi

server=
finish() {
  if [ -n "$server" ]; then
    if [ -r "$dir/data/postmaster.pid" ]; then kill -INT "$(head -n 1 "$dir/data/postmaster.pid")" 2>/dev/null || true; fi
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"${as[@]}" "$bin/initdb" -D "$dir/data" -U otpost -A trust -E UTF8 --locale=C --no-sync --no-instructions >"$dir/initdb.log" 2>&1 ||
  { cat "$dir/initdb.log" >&2; exit 1; }

tie=()
if command -v setpriv >/dev/null; then tie=(setpriv --pdeathsig INT); fi
[ "${as[0]:-}" != setpriv ] || { tie=("${as[@]}" --pdeathsig INT); as=(); }
"${as[@]}" "${tie[@]}" "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c synchronous_commit=off \
  -c full_page_writes=off -c autovacuum=off -c wal_level=minimal -c max_wal_senders=0 -c shared_buffers=32MB \
  >"$dir/server.log" 2>&1 </dev/null &
server=$!
for _ in $(seq 600); do
  if [ "$(sed -n '8s/ *$//p' "$dir/data/postmaster.pid" 2>/dev/null)" = ready ]; then break; fi
  kill -0 "$server" 2>/dev/null || { cat "$dir/server.log" >&2; exit 1; }
  sleep 0.02
done

url() { echo "postgres://otpost@localhost/$1?host=$dir"; }
quiet=(--no-psqlrc --quiet --set ON_ERROR_STOP=1)
"$psql" "${quiet[@]}" "$(url postgres)" -c 'create database otpost'
for migration in migrations/*.sql; do
  [ -e "$migration" ] || continue
  one=(--single-transaction)
  case $(head -n 1 "$migration") in "-- no-transaction"*) one=() ;; esac
  "$psql" "${quiet[@]}" "${one[@]}" "$(url otpost)" -f "$migration" >/dev/null
done

status=0
DATABASE_URL=$(url otpost) PGHOST=$dir PGUSER=otpost PGDATABASE=otpost "$@" || status=$?
exit "$status"
