#!/usr/bin/env bash
# Makes a TypeScript client from the OpenAPI document of a running demo, compiles it under `tsc --strict`, and lets it send and
# check a code (scripts/typescript/client.ts). Needs Node.js 20 or newer with npm; the pinned packages come from npm into .cache.
#
#   scripts/typescript-client.sh
set -euo pipefail
cd "$(dirname "$0")/.."

work=$PWD/.cache/typescript-client
mkdir -p "$work"
cp scripts/typescript/{package.json,package-lock.json,client.ts} "$work/"
npm ci --prefix "$work" --ignore-scripts --no-audit --no-fund --silent
export work
scripts/with-demo.sh sh -euc '
  curl -sS --fail "$OTPOST_URL/openapi.json" >"$work/openapi.json"
  cd "$work"
  npx openapi-typescript openapi.json -o api.d.ts
  npx tsc --strict --noUncheckedIndexedAccess --target es2022 --module nodenext --skipLibCheck false client.ts
  wc -l api.d.ts client.ts
  node client.js
'
