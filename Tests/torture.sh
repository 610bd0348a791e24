#!/usr/bin/env bash
# Real crashes: clients submit over HTTP while the service, its fork server, its compactor and its
# workers are killed at random, KILLS times (default 1000: some ten minutes on two cores), and what
# the clients were told is compared with what there is. The plan comes from one seed, which is
# printed; LIDO_SEED=… runs it again. What is done and checked: Tests/torture/README.md.
#
#   LIDO_TEST_BIN   the path of Tests/ServiceTestProgram (default: the release build in .build)
#
# Exit status: 0 when everything was as it has to be, otherwise 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export LIDO_TEST_BIN=${LIDO_TEST_BIN:-$PWD/../.build/release/ServiceTestProgram}
exec python3 torture/torture.py "${1:-1000}"
