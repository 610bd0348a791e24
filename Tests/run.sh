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
# programs of one's own, a package of its own; they share all modules.
build_release() {
  local arguments=(-c release --static-swift-stdlib --scratch-path "$scratch") folder
  swift build "${arguments[@]}" --product lido
  swift build "${arguments[@]}" --product ServiceTestProgram
  # SwiftPM looks a product up in the plan of the package that was built here last, fails, and has
  # made the right plan by then.
  local template=("${arguments[@]}" --package-path Sources/Examples/MyTasks --product mytasks)
  swift build "${template[@]}" || swift build "${template[@]}"
  folder=$(cd "$(swift build "${arguments[@]}" --show-bin-path)" && pwd)
  export LIDO_BIN=$folder/lido LIDO_TEST_BIN=$folder/ServiceTestProgram
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

# Runs them all, so that one report names every one that fails.
run_scripts() {
  local script status passed=0 failed=() start log=$scratch/script.log report=$scratch/failed.log
  : >"$report"
  for script in Tests/EndToEnd/*.sh Tests/EndToEnd/*.py; do
    if [ ! -f "$script" ] || [ ! -x "$script" ]; then continue; fi
    say "$script"
    start=$SECONDS
    status=0
    timeout --kill-after=10 "$script_seconds" "$script" >"$log" 2>&1 || status=$?
    cat "$log"
    if [ "$status" -eq 0 ]; then
      passed=$((passed + 1))
      say "$script passed in $((SECONDS - start)) s"
    else
      say "$script FAILED (exit $status) after $((SECONDS - start)) s"
      failed+=("$script")
      { echo "$script, its last lines:" && tail -n 30 "$log" | cut -c 1-400; } >>"$report"
    fi
  done
  cat "$report"
  say "end to end: ${failed[*]:-nothing failed}"
  echo "$passed passed, ${#failed[@]} failed"
  [ ${#failed[@]} -eq 0 ]
}

step "looking for the Swift toolchain" require_swift
step "installing what is missing" install_missing "${build_packages[@]}" "${script_packages[@]}"
current="installing photographs"
install_missing "${test_packages[@]}" || say "no photographs or no Pillow: the tests of pictures are left out"
step "building the tests" swift build --build-tests --scratch-path "$scratch"
step "running the tests" run_tests
step "building the release" build_release
step "running the end-to-end scripts" run_scripts
