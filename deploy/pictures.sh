#!/usr/bin/env bash
# Real pictures through a program that is a task: each is blurred by ImageMagick, one by one and
# then all at once, and the times are compared.
# Usage: deploy/pictures.sh PROGRAM [FOLDER]
#
# FOLDER holds *.jpg; without it a dozen photographs of Debian's mate-backgrounds are taken. Starts
# PROGRAM on a free port with a new data folder under TMPDIR. Exits 0 when every picture came back
# whole and the same both times. Either way nothing is left running.
set -euo pipefail

program=$(realpath "${1:?usage: deploy/pictures.sh PROGRAM [FOLDER]}")
pictures=$(realpath "${2:-/usr/share/backgrounds/mate/nature}")
. "$(dirname "${BASH_SOURCE[0]}")/install.sh"
. "$(dirname "${BASH_SOURCE[0]}")/session.sh"

install_missing imagemagick
if [ $# -lt 2 ]; then install_missing mate-backgrounds; fi
shopt -s nullglob
files=("$pictures"/*.jpg)
if [ ${#files[@]} -eq 0 ]; then fail "there is no *.jpg in $pictures"; fi

# One thread each: otherwise "one by one" would use every CPU as well.
cat >"$folder/lido.yaml" <<'YAML'
tasks:
  blur:
    exec: [/usr/bin/convert, "{picture}", -blur, "0x{radius}", "jpg:-"]
    stdin: none
    result: bytes
    content_type: image/jpeg
    environment: { MAGICK_THREAD_LIMIT: 1 }
    timeout: 60
    memory: 1GiB
YAML

job() { jq --null-input --compact-output --arg picture "$1" \
  '{task: "blur", kwargs: {picture: $picture, radius: 4}}'; }

# milliseconds: of a clock that goes on steadily.
milliseconds() {
  local uptime
  read -r uptime _ </proc/uptime
  echo "${uptime/./}0"
}

# saves ID NAME: fetches a picture, waiting for it.
saves() {
  curl --silent --show-error --fail --max-time 120 --output "$folder/$2" \
    "http://$address/v1/jobs/$1/result?wait=60" || fail "there is no picture of job $1"
}

# one_by_one, all_at_once: leave the pictures as NAME.serial and NAME.parallel.
one_by_one() {
  local file
  for file in "${files[@]}"; do
    quietly /v1/jobs -d "$(job "$file")"
    saves "$(of .id)" "$(basename "$file").serial"
  done
}

all_at_once() {
  local file ids=() index
  for file in "${files[@]}"; do
    quietly /v1/jobs -d "$(job "$file")"
    ids+=("$(of .id)")
  done
  for index in "${!files[@]}"; do
    saves "${ids[index]}" "$(basename "${files[index]}").parallel"
  done
}

title "Pictures: a program as a task. lido.yaml says"
cat "$folder/lido.yaml"
starts 127.0.0.1:0 --config "$folder/lido.yaml"

title "${#files[@]} photographs of $pictures, one by one, then all at once"
curls -j '{id, state, pool}' -d "$(job "${files[0]}")" '/v1/jobs?wait=60'
began=$(milliseconds)
one_by_one
serial=$(($(milliseconds) - began))
began=$(milliseconds)
all_at_once
parallel=$(($(milliseconds) - began))

for file in "${files[@]}"; do
  name=$(basename "$file")
  cmp --quiet "$folder/$name.serial" "$folder/$name.parallel" || fail "$name differs"
  size=$(/usr/bin/identify -format '%wx%h' "$file")
  [ "$(/usr/bin/identify -format '%m %wx%h' "$folder/$name.parallel")" = "JPEG $size" ] ||
    fail "$name is not whole"
  printf '%-24s %10s  %8d bytes blurred\n' "$name" "$size" "$(stat -c %s "$folder/$name.parallel")"
done
printf '\none by one %d ms, all at once %d ms: %d.%02d times as fast on %s CPUs\n' \
  "$serial" "$parallel" $((serial / parallel)) $((serial * 100 / parallel % 100)) "$(nproc)"
