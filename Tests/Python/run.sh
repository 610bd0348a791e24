#!/usr/bin/env bash
# Runs the tests of Sources/Python, and goes on after one that fails.
#
#   PYTHON     the interpreter (default python3)
#   LIDO_BIN   the service: service_tests.py needs it
#   LIDO_URL   a running service with a Python pool: the last three scripts use it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

failed=()
for script in package_tests codec_tests worker_tests client_tests service_tests pool_tests \
  pool_limit_tests pool_race_tests pool_outage_tests program_tests own_pool_tests example_tests; do
  echo "$script"
  PYTHONDONTWRITEBYTECODE=1 timeout --kill-after=10 300 "${PYTHON:-python3}" "$script.py" ||
    failed+=("$script")
done
echo "tests of Python: ${failed[*]:-nothing failed}"
[ ${#failed[@]} -eq 0 ]
