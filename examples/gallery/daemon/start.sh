#!/bin/sh
# Starts the daemon, which goes to the background, and then shows its log.
set -e
python timed.py
echo "daemon $(cat /run/timed.pid) is in the background"
exec tail -F /var/log/timed/timed.log
