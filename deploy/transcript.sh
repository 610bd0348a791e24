#!/usr/bin/env bash
# A session with the service, as a person would have it: every line after `$` can be typed.
# Usage: deploy/transcript.sh PROGRAM
#
# Starts PROGRAM on a free port with a new data folder under TMPDIR, and checks every answer. Exits
# 0 when all were right, else 1 and says which was not. Either way nothing is left running.
set -euo pipefail

program=$(realpath "${1:?usage: deploy/transcript.sh PROGRAM}")
. "$(dirname "${BASH_SOURCE[0]}")/session.sh"

factorials() {
  title "Seven factorials, side by side. Each POST answers at once; the results are fetched after."
  local numbers=(5 8 10 15 3 6 4) expected=(120 40320 3628800 1307674368000 6 720 24)
  local ids=() number index
  printf '\n$ for n in %s; do\n>   curl -d %s http://%s/v1/jobs; done\n' \
    "${numbers[*]}" "'{\"task\":\"factorial\",\"args\":['\$n']}'" "$address"
  for number in "${numbers[@]}"; do
    quietly /v1/jobs -d "{\"task\":\"factorial\",\"args\":[$number]}"
    ids+=("$(of .id)")
    echo "factorial($number) is job ${ids[-1]}, $(of .state)"
  done
  printf '\n$ curl http://%s/v1/jobs/ID/result?wait=5    # of each, in their order\n' "$address"
  for index in "${!ids[@]}"; do
    quietly "/v1/jobs/${ids[index]}/result?wait=5"
    is "${expected[index]}" "factorial of ${numbers[index]}"
    echo "${numbers[index]}! = $answer"
  done

  title "A number of any length comes back exact."
  curls -d '{"task":"factorial","args":[30],"id":"thirty"}' /v1/jobs
  curls '/v1/jobs/thirty/result?wait=5'
  is 265252859812191058636308480000000 "factorial of 30"
}

handles() {
  title "A job: 202, where its handle is, and its result."
  curls -i -d '{"task":"square","args":[7]}' /v1/jobs
  has "202 Accepted" "a submission"
  square=$(sed -n 's/^[Ll]ocation: //p' <<<"$answer")
  [ -n "$square" ] || fail "a submission says no Location"
  curls "$square/result?wait=5"
  is 49 "the square of 7"

  title "A job waited for: one request, and the result is in the handle."
  curls -i -H 'Prefer: wait=5' -d '{"task":"primes","args":[30]}' /v1/jobs
  has "200 OK" "a job waited for"
  has "Preference-Applied: wait=5" "a job waited for"
  has '"result":[2,3,5,7,11,13,17,19,23,29]' "the primes up to 30"
}

failures() {
  title "A task that throws: the job failed, and says how."
  curls -j .error -H 'Prefer: wait=5' \
    -d '{"task":"fail","args":["no paper left"],"id":"printed"}' /v1/jobs
  has '"code":"raised"' "a task that throws"
  curls -i /v1/jobs/printed/result
  has "424 Failed Dependency" "the result of a failed job"
  has "no paper left" "the result of a failed job"

  title "A worker killed: only its own job fails, and the slot is filled again."
  quietly /v1/jobs -d '{"task":"sleep","args":[60],"id":"killed"}'
  until_true 5 "the job \"killed\": running" runs killed
  local worker
  worker=$(of .worker.pid)
  printf '\n$ kill -9 %s    # the worker that runs the job "killed"\n' "$worker"
  kill -KILL "$worker"
  curls -j '{state, error}' '/v1/jobs/killed?wait=5'
  has '"exitcode":-9' "a job whose worker was killed"
  curls -j '.workers[] | [.slot, .pid, .state, .exitcode]' /v1/pools/default/workers
  has "\"pid\":$worker,\"state\":\"gone\"" "the workers after one was killed"
  curls -j .result -H 'Prefer: wait=5' -d '{"task":"square","args":[8]}' /v1/jobs
  has '"result":64' "a job after that"
}

# runs ID: the job has a worker that can be named. There may be no such job yet.
runs() {
  quietly "/v1/jobs/$1"
  [ "$(of '.worker.pid // 0')" -gt 0 ]
}

crash() {
  title "kill -9 of the service while a job runs; nothing of it stays behind."
  curls -d '{"task":"sleep","args":[1],"id":"cut-off"}' /v1/jobs
  until_true 5 "the job \"cut-off\": running" runs cut-off
  local before
  mapfile -t before < <(family "$server")
  [ ${#before[@]} -gt 2 ] || fail "the service has no processes below it"
  printf '\n$ kill -9 %s    # the service; with it go its %s other processes\n' \
    "$server" $((${#before[@]} - 1))
  kill -KILL "$server"
  { wait "$server"; } 2>/dev/null || true
  server=
  until_true 5 "the end of all processes of the killed service" are_gone "${before[@]}"

  title "The same folder again: the earlier handles still answer."
  starts "$address" --processes 2
  curls /v1/jobs/thirty/result
  is 265252859812191058636308480000000 "30! after the crash"
  curls -j '{task, state, result}' "$square"
  has '"result":49' "the square of 7 after the crash"
  curls -j .error.message /v1/jobs/killed
  has '"exitcode":-9' "the killed job after the crash"

  title "The job that was cut off runs again, and says so."
  curls -j '{state, attempt, interruptions}' '/v1/jobs/cut-off?wait=10'
  has '"state":"succeeded"' "the job that was cut off"
  has '"interruptions":1' "the job that was cut off"
}

drain() {
  title "SIGTERM: no new jobs, what runs finishes, a snapshot, exit code 0."
  local waiting=$folder/waiting status=0 before
  curl --silent --max-time 20 -H 'Prefer: wait=10' -d '{"task":"sleep","args":[1],"id":"last"}' \
    "http://$address/v1/jobs" >"$waiting" &
  client=$!
  until_true 5 "the job \"last\": running" runs last
  mapfile -t before < <(family "$server")
  printf '\n$ kill -TERM %s\n' "$server"
  kill -TERM "$server"
  curls -i -d '{"task":"square","args":[9]}' /v1/jobs
  has "503 Service Unavailable" "a submission while the service drains"
  has '"code":"draining"' "a submission while the service drains"
  wait "$client" || fail "the client that waited for the last job got no answer"
  client=
  answer=$(cat "$waiting")
  printf '\nThe client that waited for the last job got\n%s\n' "$answer"
  has '"state":"succeeded"' "the job that ran while the service drained"
  wait "$server" || status=$?
  server=
  [ "$status" -eq 0 ] || fail "the service ended with exit code $status"
  until_true 2 "the end of all processes of the service" are_gone "${before[@]}"
  printf '\nThe service ended with exit code 0. Its folder:\n'
  ls "$folder/data"
}

starts 127.0.0.1:0 --processes 2
factorials
handles
failures
crash
drain
printf '\nEvery answer was the expected one. (%s s)\n' "$SECONDS"
