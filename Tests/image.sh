#!/usr/bin/env bash
# Builds the image of deploy/Dockerfile for real, runs it as deploy/compose.yaml does (not root, a
# read-only root file system, one volume, no capabilities), and checks from outside what the README
# promises of it. Not part of Tests/run.sh, since it needs root and packages for containers, which
# it installs (see containers.sh). Exits 0 when every check passed, else 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. Tests/containers.sh

port=                         # where the service listens
token=$name-$RANDOM$RANDOM

# MARK: Running

# a_free_port: one that nobody listens on, below those that the system gives to clients.
a_free_port() {
  local candidate
  while true; do
    candidate=$((20000 + RANDOM % 10000))
    { exec 9<>"/dev/tcp/127.0.0.1/$candidate"; } 2>/dev/null || break
    exec 9>&-
  done
  echo "$candidate"
}

# run_confined ARGUMENT...: the image as deploy/compose.yaml runs it.
run_confined() {
  podman_run --network host --read-only --read-only-tmpfs=false --cap-drop ALL \
    --security-opt no-new-privileges "$@"
}

# starts: a new container on the volume. Its health is asked here: podman would have systemd do so.
starts() {
  say "a container on the volume"
  echo "$program_task" >"$folder/lido.yaml"
  chmod a+rx "$folder" && chmod a+r "$folder/lido.yaml"
  run_confined --detach --name "$name" --volume "$name:/data" \
    --volume "$folder/lido.yaml:/etc/lido.yaml:ro" --env LIDO_CONFIG=/etc/lido.yaml \
    --env "LIDO_LISTEN=0.0.0.0:$port" --env "LIDO_TOKENS=$token" "$image" \
    >"$folder/start" 2>&1 || { cat "$folder/start" >&2 && fail "it was not started"; }
  until_true 20 "the health of the container" is_healthy
}

is_healthy() { podman healthcheck run "$name" >/dev/null 2>&1; }

removes() { podman rm "$name" >"$folder/removal" 2>&1 || fail "$(<"$folder/removal")"; }

# inside WORD...: in the container.
inside() { podman exec "$name" "$@"; }

# asks PATH ARGUMENT...: from outside, as curl. `answer` is what came.
asks() {
  local path=$1
  shift
  answer=$(curl --silent --show-error --max-time 20 --header "Authorization: Bearer $token" \
    "http://127.0.0.1:$port$path" "$@") || fail "no answer from $path"
}

runs() {
  asks "/v1/jobs/$1"
  [ "$(jq --raw-output .state <<<"$answer")" = running ]
}

# MARK: The checks

refuses_to_be_open() {
  local status=0
  say "without a token"
  run_confined --rm --no-healthcheck --volume "$name:/data" "$image" >"$folder/open" 2>&1 ||
    status=$?
  answer=$(cat "$folder/open")
  [ "$status" -eq 64 ] || fail "without a token it ended with exit code $status, not 64"
  passes "the image as it is serves nobody"
}

is_confined() {
  local process status
  process=$(podman inspect --format '{{.State.Pid}}' "$name")
  status=$(<"/proc/$process/status")
  answer=$status
  grep --quiet '^Uid:.10001.10001.10001.10001$' <<<"$status" || fail "it has another user"
  grep --quiet '^CapBnd:.0*$' <<<"$status" || fail "it has capabilities"
  grep --quiet '^NoNewPrivs:.1$' <<<"$status" || fail "it could gain privileges"
  passes "user 10001, no capabilities, no new privileges"
  if inside touch /usr/local/bin/x /tmp/x 2>/dev/null; then fail "its root is writable"; fi
  inside touch /data/x && inside rm /data/x || fail "its volume is not writable"
  passes "only the volume is writable"
  answer=$(inside sh -c 'command -v curl wget python3 git gcc || true')
  [ -z "$answer" ] || fail "there are tools in the image that nothing needs"
  passes "nothing in it that fetches or compiles"
}

is_watched() {
  answer=$(inside lido-health) || fail "it is not healthy"
  answer=$(inside lido-health /livez) || fail "it is not alive"
  if answer=$(inside lido-health /nowhere); then fail "the health check passes on a 404"; fi
  if answer=$(podman exec --env "LIDO_LISTEN=127.0.0.1:1" "$name" lido-health); then
    fail "the health check passes when nobody listens"
  fi
  passes "the health check tells 200 from other answers and from none"
}

does_a_job() {
  asks /v1/jobs --header 'Prefer: wait=10' --data '{"task":"factorial","args":[15],"id":"first"}'
  is .result 1307674368000 "a job from outside"
}

# The program is process 1 of its container with no `init` above it, so a process whose parent is
# gone becomes its child.
needs_no_init() {
  local process fork_server
  process=$(podman inspect --format '{{.State.Pid}}' "$name")
  fork_server=$(pgrep --parent "$process" --exact lido-forks)
  kill -KILL "$fork_server"
  until_true 10 "the end of the orphans" has_only_a_new_child "$process" "$fork_server"
  asks /v1/jobs --header 'Prefer: wait=10' --data '{"task":"square","args":[7]}'
  is .result 49 "a job after its fork server was killed; no zombie is left"
}

# has_only_a_new_child PROCESS OLD: a fork server that is not the old one.
has_only_a_new_child() {
  local child state command
  answer=$(ps --no-headers --format pid=,state=,comm= --ppid "$1")
  read -r child state command <<<"$answer"
  [ "$(wc -l <<<"$answer")" -eq 1 ] && [ "$child" != "$2" ] && [ "$state" != Z ] &&
    [ "$command" = lido-forks ]
}

drains() {
  local waiting=$folder/waiting client
  asks /v1/jobs --data '{"task":"sleep","args":[3],"id":"last"}'
  until_true 5 "the job \"last\": running" runs last
  curl --silent --max-time 20 --header "Authorization: Bearer $token" \
    "http://127.0.0.1:$port/v1/jobs/last?wait=15" >"$waiting" &
  client=$!
  say "SIGTERM while a job runs"
  podman kill --signal TERM "$name" >/dev/null
  until_true 5 "the drain" is_unhealthy
  passes "unhealthy while it drains"
  asks /v1/jobs --data '{"task":"square","args":[9]}'
  is .code draining "a submission while it drains"
  wait "$client" || fail "who waited for the last job got no answer"
  answer=$(<"$waiting")
  is .state succeeded "the job that ran"
  ends_with 0
}

is_unhealthy() { ! inside lido-health >"$folder/health" && grep --quiet 503 "$folder/health"; }

ends_with() {
  local status
  status=$(timeout 20 podman wait "$name") || fail "the container did not end"
  [ "$status" -eq "$1" ] || fail "it ended with exit code $status, not $1"
  passes "exit code $1"
}

remembers() {
  asks /v1/jobs/first
  is .result 1307674368000 "the first job, after $1"
  asks /v1/jobs/last
  is .state succeeded "the last job, after $1"
}

build_image
port=$(a_free_port)
refuses_to_be_open
starts
is_confined
is_watched
does_a_job
runs_a_program
needs_no_init
drains
removes
starts
remembers "a drain"
say "SIGKILL"
podman kill --signal KILL "$name" >/dev/null
ends_with 137
removes
starts
remembers SIGKILL
say "podman stop"
podman stop --time 20 "$name" >/dev/null 2>&1
ends_with 0
say "every check passed"
echo "$passed passed, 0 failed"
