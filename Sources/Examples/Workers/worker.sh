#!/bin/sh
# A worker in shell: all that the worker protocol asks for, with jq for the JSON. In lido.yaml:
#     pools: { shell: { worker: [/usr/share/lido/worker.sh], processes: 2 } }
#
# A task is a function: its arguments are a JSON array on stdin, what it writes to stdout is its
# result (nothing: null; several values: their list), what it writes to stderr the log of its job,
# and if it fails, so does the job. jq 1.6 rounds integers beyond 2^53; jq 1.7 keeps them.
set -eu

task_sum() { jq add; }
task_upper() { jq -c 'map(ascii_upcase)'; }
task_checksum() { jq -j '.[0]' | sha256sum | jq -R 'split(" ")[0]'; }
task_countdown() {
  from=$(jq '.[0]')
  for left in $(seq "$from" -1 1); do
    echo "$left left" >&2
    say "{\"progress\":$call,\"value\":$(jq -n "1 - $left / $from"),\"message\":\"$left left\"}"
  done
  echo '"done"'
}

# The channel is descriptor 3 both ways, one message a line.
say() { printf '%s\n' "$1" >&3; }

say '{"ready":{"protocol":1,"tasks":["sum","upper","checksum","countdown"],"language":"sh"}}'
while IFS= read -r message <&3; do
  case $message in
    '{"call":'*) ;;
    '{"stop":'*) exit 0 ;;
    *) continue ;; # setup, cancel, and whatever comes to be known later
  esac
  call=$(printf '%s' "$message" | jq .call)
  task=$(printf '%s' "$message" | jq -r .task)
  if value=$(printf '%s' "$message" | jq -c .args | "task_$task") &&
    value=$(printf '%s' "$value" | jq -cs 'if length > 1 then . else .[0] end'); then
    say "{\"return\":$call,\"value\":$value}"
  else
    say "{\"raise\":$call,\"error\":{\"type\":\"Failed\",\"message\":\"$task failed\"}}"
  fi
done
