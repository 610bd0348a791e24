#!/usr/bin/env bash
# The library beside CPython's multiprocessing, in one run; for an idle machine. Not part of run.sh.
#
#   Tests/measure.sh [ROUNDS [PART...]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/install.sh
require_swift
install_missing "${build_packages[@]}" "${script_packages[@]}"
scratch=${SCRATCH:-.build}
arguments=(-c release --static-swift-stdlib --scratch-path "$scratch")
swift build "${arguments[@]}" --product MeasureProgram
exec python3 Tests/measure/compare.py \
  "$(swift build "${arguments[@]}" --show-bin-path)/MeasureProgram" "$@"
