#!/usr/bin/env bash
# What Tests/image.sh and Tests/systemd.sh share: an image built of deploy/Dockerfile, and one
# container at a time. To be sourced, in the top folder. Needs root; no container engine has to run.
#
# Base images that cannot be pulled are made here, under the names that the Dockerfile asks for:
# Debian's by debootstrap, Swift's from that and the toolchain of this machine. They and the image
# are kept, for the next run; the container and its volume are removed at the end.
set -euo pipefail
. deploy/install.sh

image=localhost/lido:test
name=lido-test-$$             # of the container, and of its volume
folder=$(mktemp -d "${TMPDIR:-/tmp}/lido-container.XXXXXX")
answer=                       # what the service answered last
passed=0

say() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }

fail() {
  {
    say "FAILED: $*"
    echo "--- the last answer"
    echo "$answer"
    echo "--- the log of the container"
    podman logs --tail 20 "$name" 2>&1 || true
  } >&2
  exit 1
}

passes() {
  passed=$((passed + 1))
  echo "  ok: $*"
}

clean_up() {
  local status=$?
  podman rm --force --volumes --time 0 "$name" >/dev/null 2>&1 || true
  podman volume rm --force "$name" >/dev/null 2>&1 || true
  rm -rf "$folder"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# until_true SECONDS WHAT COMMAND...: repeats COMMAND until it succeeds.
until_true() {
  local rounds=$(($1 * 20)) what=$2
  shift 2
  until "$@"; do
    rounds=$((rounds - 1))
    [ "$rounds" -gt 0 ] || fail "$what did not come true"
    sleep 0.05
  done
}

# MARK: Building

# base_image NAME MAKE...: pulls it unless it is there, or makes it.
base_image() {
  local reference=$1
  shift
  if podman image exists "$reference"; then
    say "$reference is there"
  elif podman pull --quiet "$reference" >/dev/null 2>&1; then
    say "$reference was pulled"
  else
    say "$reference cannot be pulled: making one that stands in for it"
    "$@" "localhost/$reference"
  fi
}

make_debian() {
  debootstrap --variant=minbase bookworm "$folder/debian" >"$folder/debootstrap.log" ||
    { tail -n 20 "$folder/debootstrap.log" && fail "debootstrap"; }
  # What the slim image leaves out, too, and what is of this machine.
  rm -rf "$folder"/debian/{usr/share/{doc,man,locale},var/{cache,log,lib/apt/lists}}/* \
    "$folder"/debian/etc/{hostname,resolv.conf}
  local container
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$folder/debian" / >/dev/null
  buildah config --cmd '["bash"]' "$container"
  buildah commit --quiet --rm "$container" "$1" >/dev/null
  rm -rf "$folder/debian"
}

# The toolchain is not copied into it (gigabytes) but mounted for the build.
make_swift() {
  local container
  container=$(buildah from debian:bookworm-slim)
  buildah run --isolation chroot --network host "$container" -- bash -ceu '
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends \
      binutils-gold ca-certificates gcc git libc6-dev libcurl4-openssl-dev libedit2 libncurses6 \
      libpython3.11 libsqlite3-0 libstdc++-12-dev libxml2-dev libz3-dev pkg-config tzdata \
      uuid-dev zlib1g-dev
    rm -rf /var/lib/apt/lists/*' >"$folder/swift.log" 2>&1 ||
    { tail -n 20 "$folder/swift.log" && fail "the packages that Swift needs"; }
  buildah config --env "PATH=$toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    --label "lido.stand-in=$toolchain" "$container"
  buildah commit --quiet --rm "$container" "$1" >/dev/null
}
toolchain=/opt/stand-in/usr

# mount FROM TO: for the build only.
mount_for_build() { build+=(--volume "$1:$2:ro"); }

# What this machine has and a pulled image would bring, or would get from the network.
mount_what_stands_in() {
  if [ "$(podman image inspect --format '{{index .Config.Labels "lido.stand-in"}}' \
    swift:6.3-bookworm)" = "$toolchain" ]; then
    require_swift
    mount_for_build "$(dirname "$(dirname "$(realpath "$(command -v swift)")")")" "$toolchain"
  fi
  # A machine that reads GitHub from a folder (git's url.FOLDER.insteadOf) does so in the build.
  local key places
  places=$(git config --get-regexp '^url\./.*\.insteadof$' || true)
  : >"$folder/gitconfig"
  while read -r key place; do
    [ -n "$key" ] || continue
    key=${key#url.} key=${key%.insteadof}
    [ -d "$key" ] || continue
    git config --file "$folder/gitconfig" --add "url.$key.insteadOf" "$place"
    case " ${build[*]} " in *" $key:$key:ro "*) ;; *) mount_for_build "$key" "$key" ;; esac
  done <<<"$places"
  if [ -s "$folder/gitconfig" ]; then mount_for_build "$folder/gitconfig" /etc/gitconfig; fi
}

# build_image: $image, and before it what is missing for that.
build_image() {
  say "installing what is missing"
  install_missing podman buildah debootstrap runc curl jq git procps
  base_image debian:bookworm-slim make_debian
  base_image swift:6.3-bookworm make_swift
  # Docker's format, since the other has no health check.
  local build=(buildah build --isolation chroot --network host --format docker --layers
    --file deploy/Dockerfile --tag "$image")
  mount_what_stands_in
  say "${build[*]} ."
  "${build[@]}" . >"$folder/build.log" 2>&1 ||
    { tail -n 40 "$folder/build.log" && fail "the image cannot be built"; }
  say "built: $(podman image inspect --format '{{.Size}}' "$image") bytes"
}

# MARK: Running

# podman_run ARGUMENT...: a container with what each of them has here. Without a word on limits
# podman asks for more of both than a confined machine gives.
podman_run() {
  podman --runtime runc run \
    --ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit nproc=4096:4096 "$@"
}

# is FILTER VALUE WHAT: a member of the last answer has that value.
is() {
  local value
  value=$(jq --raw-output "$1" <<<"$answer") || fail "$3: no JSON"
  [ "$value" = "$2" ] || fail "$3: $1 is $value, not $2"
  passes "$3"
}

# MARK: A program as a task

# It writes to its working folder, and has every limit, so that nothing of that is forbidden to it.
program_task='tasks:
  upper:
    exec: [sh, -c, "cat >text && tr a-z A-Z <text && pwd >&2"]
    stdin: "{0}"
    cpu: 20
    memory: 512MiB
    open_files: 64
    timeout: 30'

# runs_a_program: that task, as a job.
runs_a_program() {
  asks /v1/jobs --header 'Prefer: wait=10' --data '{"task":"upper","args":["lido"]}'
  is .result LIDO "a program as a task, with limits"
}
