#!/usr/bin/env bash
# Breaks the code on purpose, one line at a time, and asks who notices: first the simulated service
# (Tests/Simulation), then, for what that lets pass, the unit tests. Prints for each mutation by
# which seed or test it was caught; exits 1 if one is caught by nobody, or does not apply any more.
# What notices must have nothing to say of the code as it is: that is looked at first. Who does not
# come to an end has not noticed anything.
#
#   Tests/mutate.sh [NAME...]     those only; without a name, all
#
# Tests/mutations.txt holds them, one a line: name|file below Sources|text that stands there|text in
# its place. A bar within a text is written \|, a line feed \n.
#
#   SEEDS     histories that a mutation has to survive (default 600)
#   SCRATCH   where the copy is that is broken, and what is built of it (default .build/mutation)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seeds=${SEEDS:-600}
scratch=${SCRATCH:-.build/mutation}
units='JobCoreTests|JobStorageTests|JobServerTests'
# What is played by hand on the simulated edges.
units+='|whoever waits for a map|who sends items'

# say WORDS: one line with the seconds since the start.
say() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }

copy() {
  mkdir -p "$scratch/tree"
  find "$scratch/tree" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  # All that the unit tests look into.
  cp -a Package.* Sources Tests openapi deploy ./*.md LICENSE "$scratch/tree/"
}

simulation=(-c release -Xswiftc -enable-testing --product Simulation)

# build: the simulation of the copy as it is.
build() {
  LIDO_SIMULATION=1 swift build "${simulation[@]}" \
    --package-path "$scratch/tree" --scratch-path "$scratch/build" >"$scratch/log" 2>&1
}

# replace FILE FROM TO: the first place where a text stands; fails if it stands nowhere.
replace() {
  FROM=$2 TO=$3 python3 - "$1" <<'PYTHON'
import os, sys
path = sys.argv[1]
old, new = (os.environ[name].replace("\\n", "\n") for name in ("FROM", "TO"))
text = open(path).read()
if old not in text:
    sys.exit(f"{path}: there is no {old!r}")
open(path, "w").write(text.replace(old, new, 1))
PYTHON
}

# is_timeout STATUS: whether timeout(1) has ended a program.
is_timeout() { [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; }

# simulate: prints the seed that notices; fails with 1 if none does, and with 2 if it does not end.
simulate() {
  local program status=0
  program=$(LIDO_SIMULATION=1 swift build "${simulation[@]}" --package-path "$scratch/tree" \
    --scratch-path "$scratch/build" --show-bin-path)/Simulation
  LIDO_FIRST=1 timeout --kill-after=5 900 "$program" 1 "$seeds" >"$scratch/out" 2>&1 || status=$?
  if [ "$status" -eq 0 ]; then return 1; fi
  if is_timeout "$status"; then return 2; fi
  grep -m 1 -E 'FAILED|TRAPPED' "$scratch/out" | cut -c 1-200 ||
    echo "a simulation that ends with exit code $status"
}

# build_units: the unit tests of the copy as it is.
build_units() {
  swift build --build-tests --package-path "$scratch/tree" \
    --scratch-path "$scratch/units" >"$scratch/log" 2>&1
}

# run_units: their exit status; what they print is in $scratch/out. Those that compare times are
# left out, as other builds may be running.
run_units() {
  timeout --kill-after=5 900 swift test --skip-build --disable-xctest \
    --filter "$units" --skip GrowthTests --package-path "$scratch/tree" \
    --scratch-path "$scratch/units" >"$scratch/out" 2>&1
}

# test_units: prints the first unit test that fails; fails if none does.
test_units() {
  local status=0
  build_units || return 1
  run_units || status=$?
  if [ "$status" -eq 0 ] || is_timeout "$status"; then return 1; fi
  grep -m 1 -E 'recorded an issue|rror: ' "$scratch/out" | cut -c 1-200 ||
    echo "unit tests that end with exit code $status"
}

# check_unbroken: whoever finds fault with the copy as it is would find it with every mutation.
check_unbroken() {
  local by status=0
  build && build_units || { cat "$scratch/log" && return 1; }
  by=$(simulate) || status=$?
  case $status in
    0) say "the simulation fails without a mutation: $by" && return 1 ;;
    2) say "the simulation does not come to its end without a mutation" && return 1 ;;
  esac
  if ! run_units; then
    say "the unit tests fail without a mutation:"
    grep -E 'recorded an issue|rror: ' "$scratch/out" | head -n 5 || tail -n 3 "$scratch/out"
    return 1
  fi
}

caught=0
missed=()
say "the copy as it is"
copy
check_unbroken || exit 1
say "nothing is wrong with it"
while IFS= read -r line <&3; do
  line=${line//\\|/$'\x01'}
  IFS='|' read -r name file from to <<<"$line"
  from=${from//$'\x01'/|} to=${to//$'\x01'/|}
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  target=$scratch/tree/Sources/$file
  if ! replace "$target" "$from" "$to" || ! build; then
    say "STALE     $name: it does not apply, or does not compile"
    missed+=("$name")
  elif by=$(simulate) || by=$(test_units); then
    say "caught    $name: $by"
    caught=$((caught + 1))
  else
    say "SURVIVES  $name"
    missed+=("$name")
  fi
  cp "Sources/$file" "$target"
done 3<Tests/mutations.txt
say "$caught caught; ${#missed[@]} not: ${missed[*]:-none}"
[ ${#missed[@]} -eq 0 ]
