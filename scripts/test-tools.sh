#!/usr/bin/env bash
# Installs the programs that some tests run beside otpost, as root on Debian: nginx, Caddy, PgBouncer. None of them is started.
# Fails if one cannot be installed: its tests then print that and do nothing. After a success, OTPOST_TEST_TOOLS=required
# makes a missing one a failure of its tests.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

missing() {
  local pair
  for pair in nginx:nginx-light caddy:caddy pgbouncer:pgbouncer; do
    command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
  done
}

wanted=($(missing))
[ ${#wanted[@]} -gt 0 ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  install=(apt-get install -y -qq --no-install-recommends "${wanted[@]}")
  "${install[@]}" </dev/null >/dev/null 2>&1 || { apt-get update -qq && "${install[@]}"; } </dev/null >/dev/null 2>&1 || true
fi
wanted=($(missing))
[ ${#wanted[@]} -gt 0 ] || exit 0
echo "NOT TESTED: ${wanted[*]} cannot be installed here, so the tests that run them do nothing" >&2
exit 1
