#!/usr/bin/env bash
# What deploy/run.sh and Tests/run.sh need on a Debian machine that has only the Swift toolchain.
# To be sourced. It does nothing by itself; the functions say what they install and why they fail.
set -euo pipefail

# To build: the headers of the HTTP library and, for the examples, of the JPEG library; and what
# SwiftPM fetches dependencies with.
build_packages=(libmicrohttpd-dev libturbojpeg0-dev git ca-certificates)
# To run the scripts that talk to the service.
script_packages=(curl jq python3)
# Photographs for the tests of the examples (47 MB), and what one of them in Python reads them with.
test_packages=(mate-backgrounds python3-pil)

# python_tests_package: prints the package of Python's own tests of multiprocessing, unless the
# interpreter came with them.
python_tests_package() {
  if python3 -c 'import test._test_multiprocessing' 2>/dev/null; then return 0; fi
  python3 -c 'import sys; print("libpython%d.%d-testsuite" % sys.version_info[:2])'
}

# Fails with a sentence when there is no Swift toolchain: that one we do not install.
require_swift() {
  if ! command -v swift >/dev/null; then
    echo "There is no swift in PATH: install a toolchain from https://swift.org/install" >&2
    return 1
  fi
}

# install_missing PACKAGE...: installs those that are neither installed nor there as a command of
# the same name. Quick when nothing is missing. Needs root or sudo otherwise.
install_missing() {
  local package missing=() as_root=()
  for package in "$@"; do
    is_present "$package" || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then return 0; fi
  if ! command -v apt-get >/dev/null; then
    echo "Missing: ${missing[*]} (names as in Debian). There is no apt-get to install them." >&2
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "Missing: ${missing[*]}. Neither root nor sudo here; have somebody run" >&2
      echo "  apt-get install ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "installing ${missing[*]}"
  local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
    apt-get install --yes --quiet --quiet --no-install-recommends "${missing[@]}")
  # The lists of packages are updated only when they turn out to be missing or old.
  if ! "${install[@]}" 2>/dev/null; then
    "${as_root[@]}" apt-get update --quiet --quiet
    "${install[@]}"
  fi
}

is_present() {
  command -v "$1" >/dev/null && return 0
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}
