#!/usr/bin/env bash
# What a session with a service of its own is made of. To be sourced, with `program` set to the
# path of the program; everything that it starts and makes is gone when the script ends.
set -euo pipefail

folder=$(mktemp -d "${TMPDIR:-/tmp}/lido-session.XXXXXX")
log=$folder/log
server=       # pid of the service while it runs
client=       # pid of a curl that waits in the background
address=      # host:port of the service
answer=       # what the service answered last

# fail SENTENCE...: ends the script. What the service logged and answered last is shown.
fail() {
  {
    echo
    echo "FAILED: $*"
    echo "--- the last answer"
    echo "$answer"
    echo "--- the log of the service"
    tail -n 20 "$log"
  } >&2
  exit 1
}

clean_up() {
  local status=$? pid
  for pid in $server $client; do
    kill -KILL "$pid" 2>/dev/null || true
    { wait "$pid"; } 2>/dev/null || true
  done
  rm -rf "$folder"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

title() { printf '\n# %s\n' "$*"; }

# until_true SECONDS WHAT COMMAND...: repeats COMMAND until it succeeds.
until_true() {
  local rounds=$(($1 * 20)) what=$2
  shift 2
  until "$@"; do
    rounds=$((rounds - 1))
    if [ "$rounds" -le 0 ]; then fail "$what did not come true"; fi
    sleep 0.05
  done
}

# typed WORD...: the words as somebody would type them.
typed() {
  local word line=
  for word in "$@"; do
    case $word in
      *[\ \{\}\"\?\&\$\|*]*) line+=" '$word'" ;;
      *) line+=" $word" ;;
    esac
  done
  echo "${line# }"
}

# curls [-j FILTER] ARGUMENT...: shows and runs a curl and prints what it answers, through jq with
# -j. `answer` is the whole of it. Paths are completed with the address of the service.
curls() {
  local word arguments=() filter=
  if [ "$1" = -j ]; then
    filter=$2
    shift 2
  fi
  for word in "$@"; do
    case $word in
      /*) arguments+=("http://$address$word") ;;
      *) arguments+=("$word") ;;
    esac
  done
  printf '\n$ %s%s\n' "$(typed curl "${arguments[@]}")" "${filter:+ | $(typed jq -c "$filter")}"
  if ! answer=$(curl --silent --show-error --max-time 20 "${arguments[@]}"); then
    fail "curl got no answer"
  fi
  answer=${answer//$'\r'/}
  if [ -z "$filter" ]; then
    echo "$answer"
  else
    jq -c "$filter" <<<"$answer" || fail "jq cannot read the answer"
  fi
}

# quietly PATH [ARGUMENT...]: the same without a word.
quietly() {
  local path=$1
  shift
  answer=$(curl --silent --show-error --max-time 20 "http://$address$path" "$@") ||
    fail "curl got no answer from $path"
}

# has TEXT WHAT: the last answer holds TEXT.
has() {
  case $answer in
    *"$1"*) ;;
    *) fail "$2: there is no $1 in the answer" ;;
  esac
}

# is TEXT WHAT: the last answer is TEXT.
is() {
  if [ "$answer" != "$1" ]; then fail "$2: expected $1"; fi
}

# of FILTER: a member of the last answer, which may be headers and a handle.
of() { tail -n 1 <<<"$answer" | jq --raw-output "$1"; }

# starts ADDRESS [FLAG...]: starts the service there and waits until it is ready.
starts() {
  local port_file=$folder/port
  local arguments=(serve --listen "$1" --data "$folder/data" --port-file "$port_file"
    --log-level notice "${@:2}")
  rm -f "$port_file"
  printf '\n$ %s &\n' "$(typed lido "${arguments[@]}")"
  "$program" "${arguments[@]}" 2>>"$log" &
  server=$!
  until_true 10 "the service: ready" is_ready "$port_file"
  address=127.0.0.1:$(cat "$port_file")
}

is_ready() {
  if are_gone "$server"; then fail "the service ended instead of starting"; fi
  [ -s "$1" ]
}

# family PID: the process and everything below it, by /proc.
family() {
  local line rest stat
  echo "$1"
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    rest=${line##*) }
    rest=${rest#* }
    if [ "${rest%% *}" = "$1" ]; then family "${line%% *}"; fi
  done
}

# are_gone PID...: none of them lives; a zombie does not.
are_gone() {
  local line pid
  for pid in "$@"; do
    { read -r line <"/proc/$pid/stat"; } 2>/dev/null || continue
    case ${line##*) } in
      Z*) ;;
      *) return 1 ;;
    esac
  done
}
