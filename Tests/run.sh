#!/usr/bin/env bash
# Everything that CI runs, on a Debian machine that has only the Swift toolchain (root or sudo):
# installs what is missing, builds, runs the tests, then every executable script of Tests/EndToEnd
# against a release build. Stops at the first step that fails and says which.
#
#   SCRATCH          where SwiftPM builds (default .build)
#   SCRIPT_SECONDS   the most that one end-to-end script may take (default 300)
#
# An end-to-end script gets LIDO_BIN, the path of the program, LIDO_TEST_BIN, that of
# Tests/ServiceTestProgram, and LIDO_TEMPLATE_BIN, that of Sources/Examples/MyTasks; it has passed
# when it exits 0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/install.sh

scratch=${SCRATCH:-.build}
script_seconds=${SCRIPT_SECONDS:-300}
current="getting ready"

# say WORDS: one line with the seconds since the start.
say() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }

# step NAME COMMAND...: what runs from here on has that name, should it fail.
step() {
  current=$1
  shift
  say "$current"
  "$@"
}

report_failure() {
  local status=$?
  if [ "$status" -ne 0 ]; then say "FAILED (exit $status): $current" >&2; fi
}
trap report_failure EXIT

# The program, a second one on its library whose tasks start processes, and the template for
# programs of one's own; they share all modules.
build_release() {
  local arguments=(-c release --static-swift-stdlib --scratch-path "$scratch") folder
  swift build "${arguments[@]}" --product lido
  swift build "${arguments[@]}" --product ServiceTestProgram
  swift build "${arguments[@]}" --product tasks-template
  # Its own package: that its manifest is one.
  swift package --package-path Sources/Examples/MyTasks --scratch-path "$scratch/template" \
    dump-package >/dev/null
  folder=$(cd "$(swift build "${arguments[@]}" --show-bin-path)" && pwd)
  export LIDO_BIN=$folder/lido LIDO_TEST_BIN=$folder/ServiceTestProgram
  cp "$folder/tasks-template" "$folder/mytasks"
  export LIDO_TEMPLATE_BIN=$folder/mytasks
}

# What they print goes to files: what a failed test leaves behind cannot hold the end up, and what
# has failed stands at the end, where it is found.
run_tests() {
  local log=$scratch/tests.log status=0
  timeout --kill-after=10 600 \
    swift test --skip-build --disable-xctest --scratch-path "$scratch" >"$log" 2>&1 || status=$?
  if [ "$status" -ne 0 ]; then
    grep -A 8 'recorded an issue' "$log" | grep -v ' started\.$' | cut -c 1-400 | head -n 80
    echo "all that the tests have printed: $log"
  fi
  tail -n 1 "$log"
  return "$status"
}

# run_script PATH: its output goes to a file of its own, its result to `$scratch/failed.log` if it
# fails; answers whether it passed.
run_script() {
  local status=0 start=$SECONDS log=$scratch/${1##*/}.log
  timeout --kill-after=10 "$script_seconds" "$1" >"$log" 2>&1 || status=$?
  cat "$log"
  if [ "$status" -eq 0 ]; then
    say "$1 passed in $((SECONDS - start)) s"
  else
    say "$1 FAILED (exit $status) after $((SECONDS - start)) s"
    { echo "$1, its last lines:" && tail -n 30 "$log" | cut -c 1-400; } >>"$scratch/failed.log"
  fi
  return "$status"
}

# Runs them all, so that one report names every one that fails. Two of the longest measure no time
# and run side by side.
run_scripts() {
  local script passed=0 failed=() beside=Tests/EndToEnd/python_package.py
  : >"$scratch/failed.log"
  for script in Tests/EndToEnd/*.sh Tests/EndToEnd/*.py; do
    if [ ! -x "$script" ] || [ "$script" = "$beside" ]; then continue; fi
    say "$script"
    if [ "$script" = Tests/EndToEnd/crash_of_service.py ]; then
      run_script "$beside" >"$scratch/beside.log" &
    fi
    if run_script "$script"; then passed=$((passed + 1)); else failed+=("$script"); fi
    if [ "$script" = Tests/EndToEnd/crash_of_service.py ]; then
      if wait "$!"; then passed=$((passed + 1)); else failed+=("$beside"); fi
      cat "$scratch/beside.log"
    fi
  done
  cat "$scratch/failed.log"
  say "end to end: ${failed[*]:-nothing failed}"
  echo "$passed passed, ${#failed[@]} failed"
  [ ${#failed[@]} -eq 0 ]
}

step "looking for the Swift toolchain" require_swift
step "installing what is missing" install_missing "${build_packages[@]}" "${script_packages[@]}"
read -r -a python_tests <<<"$(python_tests_package)"
install_missing ${python_tests[@]+"${python_tests[@]}"}
current="installing photographs and Pillow"
install_missing "${test_packages[@]}" || say "no photographs: the tests of pictures are left out"
step "building the tests" swift build --build-tests --scratch-path "$scratch"
step "running the tests" run_tests
step "building the release" build_release
step "running the end-to-end scripts" run_scripts
