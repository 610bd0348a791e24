#!/usr/bin/env bash
# From a clone to a running service, on a Debian machine that has only the Swift toolchain (root or
# sudo): installs what is missing, builds the release, starts the service in a folder of its own and
# prints a session with it (deploy/transcript.sh), then sends photographs through a program that is
# a task (deploy/pictures.sh). Exits 0 when every answer was the expected one,
# and leaves nothing running. Quick the second time.
#
#   deploy/run.sh           as above
#   deploy/run.sh --serve   then serves on, in the foreground, with the defaults or with LIDO_…
#
#   SCRATCH                 where SwiftPM builds (default .build)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/install.sh

serves_on=false
case "${1-}" in
  "") ;;
  --serve) serves_on=true ;;
  *)
    echo "usage: deploy/run.sh [--serve]" >&2
    exit 64
    ;;
esac

build=(swift build -c release --static-swift-stdlib --product lido
  --scratch-path "${SCRATCH:-.build}")

require_swift
install_missing "${build_packages[@]}" "${script_packages[@]}"
echo "building: ${build[*]}"
"${build[@]}"
program=$("${build[@]}" --show-bin-path)/lido

# It takes a few seconds; a service that hangs must not hang this script.
timeout --foreground --kill-after=10 120 deploy/transcript.sh "$program"
timeout --foreground --kill-after=10 300 deploy/pictures.sh "$program"

echo
echo "The program is $program; \`$program serve --help\` lists its settings."
if $serves_on; then
  exec "$program" serve
fi
