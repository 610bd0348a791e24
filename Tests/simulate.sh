#!/usr/bin/env bash
# Runs the simulated service (Tests/Simulation) in release mode, on all CPUs: N histories of 1,000
# events each, from seed FIRST on. Prints the seeds that fail with what was wrong, how often what
# happened, and the rate; exits 1 if one failed.
#
#   Tests/simulate.sh [N] [FIRST]     N: 10000, FIRST: 1
#
#   LIDO_SEED=17    runs that history alone and tells what happens in it
#   EVENTS          events of each history (default 1000)
#   SCRATCH         where SwiftPM builds (default .build/simulation; not the one of other builds, as
#                   it is built with -enable-testing)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

count=${1:-10000}
first=${2:-1}
events=${EVENTS:-1000}
scratch=${SCRATCH:-.build/simulation}
cpus=$(nproc)
export LIDO_SIMULATION=1

arguments=(-c release -Xswiftc -enable-testing --product Simulation --scratch-path "$scratch")
swift build "${arguments[@]}" >&2
program=$(cd "$(swift build "${arguments[@]}" --show-bin-path)" && pwd)/Simulation

if [ -n "${LIDO_SEED:-}" ]; then exec "$program" 1 1 "$events"; fi

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
start=$(date +%s%N)
share=$(((count + cpus - 1) / cpus))
processes=()
for ((cpu = 0; cpu < cpus; cpu++)); do
  begin=$((first + cpu * share))
  length=$((first + count - begin < share ? first + count - begin : share))
  if [ "$length" -le 0 ]; then continue; fi
  "$program" "$begin" "$length" "$events" >"$results/$cpu" 2>&1 &
  processes+=($!)
done
status=0
for process in "${processes[@]}"; do wait "$process" || status=1; done
end=$(date +%s%N)

grep -hv '^COUNT ' "$results"/* || true
awk '/^COUNT / { n = $2; $1 = $2 = ""; counts[$0] += n }
  END { for (word in counts) printf "%10d %s\n", counts[word], word }' "$results"/* | sort -k2
awk -v n="$count" -v e="$events" -v t=$((end - start)) -v s="$status" 'BEGIN {
  printf "%d histories of %d events in %.1f s: %.1f a second; %s\n", n, e, t / 1e9, n * 1e9 / t,
    s == 0 ? "all clean" : "FAILED" }'
exit "$status"
