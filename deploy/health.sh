#!/bin/bash
# Exits 0 when the service in this container answers GET PATH with 200, else 1 and says what came.
# Usage: lido-health [/readyz|/livez]
#
# It asks at the address of LIDO_LISTEN, so choose the port with that variable and not with a flag.
# Bash alone, so that the image needs no HTTP client.
set -eu

path=${1:-/readyz}
address=${LIDO_LISTEN:-127.0.0.1:8080}
# HOST:PORT, [V6]:PORT, :PORT, or a host alone, as `lido serve --listen` takes it.
case $address in
  \[*\]:*) host=${address%:*} port=${address##*:} ;;
  \[*\] | *:*:*) host=$address port=8080 ;;
  *:*) host=${address%:*} port=${address##*:} ;;
  *) host=$address port=8080 ;;
esac
host=${host#[} host=${host%]}
case $host in
  '' | 0.0.0.0) host=127.0.0.1 ;;
  ::) host=::1 ;;
esac

unhealthy() {
  echo "$path at $host:$port: $*"
  exit 1
}

{ exec 3<>"/dev/tcp/$host/$port"; } 2>/dev/null || unhealthy "no connection"
printf 'GET %s HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\n\r\n' "$path" "$port" >&3
# Less than the timeout of the HEALTHCHECK, so that it is this script that says what was wrong.
read -r -t 4 _ status reason <&3 || unhealthy "no answer"
[ "$status" = 200 ] || unhealthy "$status ${reason%$'\r'}"
