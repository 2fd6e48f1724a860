#!/bin/sh
# Compiles the server and asks it. Needs a C compiler and curl.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
${CC:-cc} -O2 -Wall -Werror -o "$scratch/server" server.c
"$scratch/server" &
trap 'kill $!; rm -rf "$scratch"' EXIT
answer=$(curl -fsS --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:8080/)
[ "$answer" = "hello from c" ]
echo ok
