#!/usr/bin/env bash
# Runs deploy/lido.service under a real systemd, as process 1 of a container without a network, and
# checks what its comments and the README say: that `systemd-analyze` has nothing to complain of,
# that the service works as confined as that, drains, comes back, and stays down when it must. Not
# part of Tests/run.sh, since it needs root and packages for containers, which it installs (see
# containers.sh). Exits 0 when every check passed, else 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. Tests/containers.sh

token=$name-$RANDOM$RANDOM
exposure_max=15               # of 100, by systemd-analyze security

# A machine with systemd, the program of the image, and what the unit says is installed.
build_machine() {
  mkdir "$folder/machine"
  cp deploy/lido.service "$folder/machine/"
  { cat deploy/lido.yaml && echo "$program_task"; } >"$folder/machine/lido.yaml"
  cat >"$folder/machine/Dockerfile" <<END
FROM $image AS image
FROM debian:bookworm-slim
RUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends \\
  curl dbus libmicrohttpd12 libstdc++6 procps systemd systemd-sysv util-linux
COPY --from=image /usr/local/bin/lido /usr/local/bin/lido
COPY lido.yaml /etc/lido/lido.yaml
COPY lido.service /etc/systemd/system/lido.service
RUN systemctl enable lido
ENTRYPOINT ["/lib/systemd/systemd"]
END
  buildah build --isolation chroot --network host --format docker --layers \
    --tag localhost/lido:systemd "$folder/machine" >"$folder/build.log" 2>&1 ||
    { tail -n 40 "$folder/build.log" && fail "the machine cannot be built"; }
}

# systemd makes name spaces and mounts for the service, which a container usually may not.
starts_machine() {
  say "a machine with systemd"
  podman_run --detach --name "$name" --network none --systemd always --cap-add ALL \
    --security-opt seccomp=unconfined localhost/lido:systemd >"$folder/start" 2>&1 ||
    { cat "$folder/start" >&2 && fail "it was not started"; }
  until_true 20 "the machine: running" is_up
  until_true 20 "the service: ready" is_ready
}

# inside WORD...: on the machine.
inside() { podman exec "$name" "$@"; }

is_up() { inside systemctl is-system-running --quiet 2>/dev/null; }

is_ready() { inside curl --silent --fail --output /dev/null http://127.0.0.1:8080/readyz; }

# asks PATH ARGUMENT...: as curl. `answer` is what came.
asks() {
  local path=$1
  shift
  answer=$(inside curl --silent --show-error --max-time 20 \
    --header "Authorization: Bearer $token" "http://127.0.0.1:8080$path" "$@") ||
    fail "no answer from $path"
}

# shows PROPERTY: of the service.
shows() { inside systemctl show --property "$1" --value lido; }

# has_property PROPERTY VALUE: of the service.
has_property() { [ "$(shows "$1")" = "$2" ]; }

# has PROPERTY VALUE WHAT
has() {
  answer=$(inside systemctl status --no-pager lido || true)
  has_property "$1" "$2" || fail "$3: $1 is $(shows "$1"), not $2"
  passes "$3"
}

# configured LINE...: the file of variables that the unit names. None: there is no such file.
configured() {
  inside sh -c 'umask 077 && rm -f /etc/lido/environment && [ $# -eq 0 ] ||
    printf "%s\n" "$@" >/etc/lido/environment' sh "$@"
}

# starts [LINE...]: the service, with these variables, until it is ready.
starts() {
  configured "$@"
  inside systemctl start lido
  until_true 20 "the service: ready" is_ready
}

is_in_order() {
  answer=$(inside systemd-analyze verify lido.service 2>&1) || fail "systemd-analyze verify"
  [ -z "$answer" ] || fail "systemd-analyze verify has something to say"
  passes "systemd-analyze verify is silent"
  answer=$(inside systemd-analyze security --no-pager --offline=true --threshold="$exposure_max" \
    /etc/systemd/system/lido.service) || fail "systemd-analyze security"
  passes "systemd-analyze security: $(tail -n 1 <<<"$answer" | tr -cd ' -~')"
}

is_confined() {
  local process user
  process=$(shows MainPID)
  answer=$(inside cat "/proc/$process/status")
  user=$(sed -n 's/^Uid:\t\([0-9]*\)\t.*/\1/p' <<<"$answer")
  # systemd.exec(5), DynamicUser.
  [ "$user" -ge 61184 ] && [ "$user" -le 65519 ] || fail "it is user $user"
  grep --quiet '^CapBnd:.0*$' <<<"$answer" || fail "it has capabilities"
  grep --quiet '^NoNewPrivs:.1$' <<<"$answer" || fail "it could gain privileges"
  grep --quiet '^Seccomp:.2$' <<<"$answer" || fail "its system calls are not filtered"
  passes "user $user for now, no capabilities, no new privileges, filtered system calls"
  if inside nsenter --target "$process" --mount touch /etc/x 2>/dev/null; then
    fail "the system is writable"
  fi
  answer=$(inside stat --format '%a' /var/lib/lido/)
  [ "$answer" = 700 ] || fail "its folder can be read by others"
  passes "the system is read-only, its own folder is its own"
}

does_a_job() {
  asks /v1/jobs --header 'Prefer: wait=10' --data '{"task":"factorial","args":[15]}'
  is .result 1307674368000 "a job, with workers by $1"
}

survives_a_worker() {
  asks /v1/jobs --header 'Prefer: wait=10' --data '{"task":"crash","args":[{"signal":9}]}'
  is .error.signal 9 "a worker that was killed: one job fails"
  has ActiveState active "the service goes on"
}

drains() {
  asks /v1/jobs --data '{"task":"sleep","args":[2],"id":"last"}'
  until_true 5 "the job \"last\": running" runs last
  say "systemctl stop while a job runs"
  inside systemctl stop lido
  has Result success "stopped in peace"
  has ExecMainStatus 0 "exit code 0"
  answer=$(inside sh -c 'ls /var/lib/lido')
  grep --quiet '^snapshot-' <<<"$answer" || fail "there is no snapshot"
  passes "a snapshot was written"
  [ -z "$(inside pgrep lido || true)" ] || fail "a process is left"
  passes "no process is left"
}

runs() {
  asks "/v1/jobs/$1"
  [ "$(jq --raw-output .state <<<"$answer")" = running ]
}

remembers() {
  asks /v1/jobs/last
  is .state succeeded "the last job, after $1"
}

comes_back() {
  say "SIGKILL"
  inside systemctl kill --kill-whom main --signal KILL lido
  until_true 10 "a second start" has_property NRestarts 1
  until_true 10 "the service: ready" is_ready
  remembers SIGKILL
}

stays_down() {
  say "a setting that cannot be used"
  inside systemctl stop lido
  configured LIDO_SYNC=sometimes
  inside systemctl start lido 2>/dev/null || true
  until_true 10 "the end" has_property ActiveState failed
  has ExecMainStatus 64 "a wrong setting: failed, with exit code 64"
  has NRestarts 0 "not started again"
  inside systemctl reset-failed lido
}

build_image
build_machine
starts_machine
is_in_order
is_confined
does_a_job forkserver
runs_a_program
survives_a_worker
drains
starts LIDO_START_METHOD=spawn LIDO_LISTEN=0.0.0.0:8080 "LIDO_TOKENS=$token"
remembers "a stop"
does_a_job "spawn, listening on every address with a token"
comes_back
stays_down
say "every check passed"
echo "$passed passed, 0 failed"
