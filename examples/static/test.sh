#!/bin/sh
# Checks that every file of www can be read by whoever the server runs as, and that there is a page.
set -eu
cd "$(dirname "$0")"
grep -q "<title>" www/index.html
[ -z "$(find www ! -perm -o=r)" ]
echo ok
