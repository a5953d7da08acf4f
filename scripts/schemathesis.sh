#!/usr/bin/env bash
# Holds a started service against its OpenAPI document: the document is valid OpenAPI 3.1, and schemathesis makes up requests
# from it and looks at every answer. None may be a server error, and none may be one that the document does not have.
# It runs beside a demo of its own (scripts/with-demo.sh) and takes at most two minutes.
#
#   scripts/schemathesis.sh                     # with target/debug/otpost, built when needed
#   OTPOST_PROGRAM=target/release/otpost OTPOST_SCHEMATHESIS_S=30 scripts/schemathesis.sh
#
# Needs Python 3.10 or newer with venv. The pinned packages come from PyPI, once, into .cache; where PyPI cannot be reached,
# it says so and ends with success. It writes into .cache only: the requests that failed are in .cache/schemathesis.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "schemathesis: $*"; }
fail() { say "$*" >&2; exit 1; }

# A new pin gets a new folder. It is complete once the marker is there.
venv=$PWD/.cache/schemathesis-$(cksum <scripts/schemathesis-requirements.txt | cut -d' ' -f1)
if [ ! -e "$venv/complete" ]; then
  mkdir -p .cache
  python3 -m venv --clear "$venv" || fail "needs Python 3 with venv (Debian's package python3-venv)"
  pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input)
  if ! "${pip[@]}" install --no-deps -r scripts/schemathesis-requirements.txt; then
    if "${pip[@]}" download --no-deps --dest "$venv/probe" pip >/dev/null 2>&1; then
      fail "the pinned packages cannot be installed (scripts/schemathesis-requirements.txt)"
    fi
    say "skipped: PyPI cannot be reached"
    exit 0
  fi
  touch "$venv/complete"
fi

# Not among the checks: whether each request that fits the schema is accepted (a text that fits may be no phone number), and
# whether each that does not is refused (hints are read leniently).
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks=$checks,response_schema_conformance,unsupported_method,allow_header_conformance,ignored_auth,missing_required_header
# schemathesis keeps its files in its working directory.
work=$PWD/.cache/schemathesis
mkdir -p "$work"
export PYTHONPATH=$PWD/scripts PYTHONDONTWRITEBYTECODE=1 SCHEMATHESIS_HOOKS=schemathesis_hooks PATH=$venv/bin:$PATH checks work
scripts/with-demo.sh sh -euc '
  document=$(mktemp)
  trap "rm -f $document" EXIT
  "$OTPOST_PROGRAM" openapi >"$document"
  openapi-spec-validator --subschema-errors=all "$document"
  cd "$work"
  schemathesis run "$OTPOST_URL/openapi.json" --header "Authorization: Bearer $OTPOST_KEY" --checks "$checks" \
    --max-time "${OTPOST_SCHEMATHESIS_S:-75}" --request-timeout 30 --continue-on-failure --warnings off --suppress-health-check all
'
