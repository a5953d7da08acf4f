#!/usr/bin/env bash
# Regenerates .sqlx: the parameter and result types of each checked query, read from a throwaway PostgreSQL.
# The same output as sqlx-cli's `prepare`. The old files stay when the program does not compile.
set -euo pipefail
cd "$(dirname "$0")/.."

new=$(mktemp -d "$PWD/.sqlx.XXXXXX")
trap 'rm -rf "$new"' EXIT
# The macros write while they are expanded, and cargo expands only what has changed.
touch src/lib.rs src/main.rs tests/*/main.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$new" scripts/with-postgres.sh cargo check --all-targets
rm -rf .sqlx
# sqlx makes a tmp folder beside its output; git keeps no empty directory, so neither does this.
find "$new" -mindepth 1 -type d -empty -delete
chmod 755 "$new"
mv "$new" .sqlx
trap - EXIT
echo "sqlx: $(find .sqlx -name '*.json' | wc -l) queries in .sqlx"
