#!/usr/bin/env bash
# A small share of ../torture.sh, with a seed that is printed.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../torture.sh" "${1:-25}"
