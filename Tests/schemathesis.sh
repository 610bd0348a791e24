#!/usr/bin/env bash
# The service against its own document: schemathesis makes requests from /openapi.json, good ones
# and bad ones, and holds every answer against it. All checks, all phases, one request at a time; in
# turn without and with a token, each time with another seed, until enough requests were sent. Fails
# at the first pass with a failure.
#
# Usage: Tests/schemathesis.sh [REQUESTS [SEED]]      (20,000 from seed 1: some minutes)
#
#   LIDO_BIN     the program (default .build/release/lido)
#   CACHE        where schemathesis is installed if it is missing (default ~/.cache/lido)
#   EXAMPLES     requests for an operation and phase in one pass (default 100)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

here=$PWD/Tests/schemathesis
wanted=${1:-20000}
seed=${2:-1}
examples=${EXAMPLES:-100}
program=$(realpath "${LIDO_BIN:-.build/release/lido}")
# What it checks, and how it counts, changes from one version to the next.
version=4.32.5
venv=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lido}/schemathesis-$version
token=the-token-of-the-document-test
folder=$(mktemp -d)
service=

end_service() {
  if [ -n "$service" ]; then
    kill "$service" 2>/dev/null || true
    wait "$service" 2>/dev/null || true
    service=
  fi
}
trap 'end_service; rm -rf "$folder"' EXIT

install_schemathesis() {
  if [ ! -x "$venv/bin/schemathesis" ]; then
    echo "installing schemathesis $version in $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "schemathesis==$version"
  fi
}

# start_service [TOKEN]: a service of its own for each pass, so that none inherits a queue.
start_service() {
  local settings=(--listen 127.0.0.1:0 --data "$folder/data" --port-file "$folder/port"
    --config "$here/lido.yaml" --processes 2 --shutdown-grace 1 --log-level warning)
  rm -rf "$folder/data" "$folder/port"
  env ${1:+LIDO_TOKENS="$1"} "$program" serve "${settings[@]}" 2>"$folder/log" &
  service=$!
  for _ in $(seq 200); do
    if [ -e "$folder/port" ]; then break; fi
    sleep 0.05
  done
  if [ ! -e "$folder/port" ]; then
    echo "the service does not start: $(cat "$folder/log")" >&2
    return 1
  fi
  base=http://127.0.0.1:$(cat "$folder/port")
}

# ask PATH [JSON]: a request of our own, with the token.
ask() {
  curl --silent --show-error --fail-with-body -H "Authorization: Bearer $token" \
    ${2:+-H "Content-Type: application/json" -d "$2"} "$base$1"
}

# Jobs in every state, maps and pools, for the requests that need one (their ids and names are known
# to the hooks).
prepare_jobs() {
  ask /v1/pools '{"name":"doc-pool","processes":1}' >"$folder/pools"
  ask /v1/pools '{"name":"doc-ended","processes":1}' >>"$folder/pools"
  ask "/v1/maps?wait=20" '{"task":"square","items":[1,2,3],"id":"doc-map"}' >"$folder/maps"
  ask "/v1/maps?wait=20" '{"task":"fail","items":["a"],"id":"doc-failed-map"}' >>"$folder/maps"
  ask "/v1/jobs?wait=20" '[
    {"task":"square","args":[7],"id":"doc-value"},
    {"task":"picture","args":["not a picture"],"id":"doc-bytes"},
    {"task":"noisy","id":"doc-failed"},
    {"task":"fail","args":["no paper left"],"id":"doc-raised"}]' >"$folder/jobs"
  ask /v1/jobs '[
    {"task":"sleep","args":[86400],"id":"doc-running","tags":["nightly"]},
    {"task":"fail","args":["again"],"id":"doc-scheduled","max_attempts":100}]' >>"$folder/jobs"
}

# Requests that the service has answered.
count_requests() {
  ask /metrics | awk '/^lido_http_requests_total\{/ { sum += $NF } END { print sum + 0 }'
}

# run_pass SEED [TOKEN]
run_pass() {
  local header=()
  start_service "${2:-}"
  prepare_jobs
  if [ -n "${2:-}" ]; then header=(-H "Authorization: Bearer $2"); fi
  # It leaves files where it runs.
  if ! env --chdir="$folder" SCHEMATHESIS_HOOKS=hooks PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1 \
    "$venv/bin/schemathesis" --no-color --config-file "$here/schemathesis.toml" \
    run "$base/openapi.json" --url "$base" --checks all --workers 1 \
    --phases examples,coverage,fuzzing,stateful --max-examples "$examples" --seed "$1" \
    --continue-on-failure --generation-database none --suppress-health-check all \
    "${header[@]}" >"$folder/report" 2>&1; then
    cut -c 1-2000 "$folder/report"
    echo "FAILED: seed $1${2:+, with a token}"
    return 1
  fi
  grep -E '^ +API Links|[0-9] generated' "$folder/report" | sed 's/^ */  /'
  if ! kill -0 "$service" 2>/dev/null; then
    echo "FAILED: the service has ended"
    return 1
  fi
}

install_schemathesis
sent=0
while [ "$sent" -lt "$wanted" ]; do
  for with in "" "$token"; do
    echo "seed $seed${with:+, with a token}"
    run_pass "$seed" "$with"
    sent=$((sent + $(count_requests)))
    end_service
    echo "  $sent of $wanted requests after $SECONDS s"
  done
  seed=$((seed + 1))
done
echo "$sent requests, no failure"
