#!/bin/sh
# Removes the worker:  sudo ./uninstall.sh [--purge]
# Without --purge the state (keys, capsules, journal) stays in /var/lib/cadastre.
set -eu
opt=/opt/cadastre
state=/var/lib/cadastre
user=cadastre-worker
link=/usr/local/bin/cadastre
service=/etc/systemd/system/cadastre-worker.service

[ "$(id -u)" = 0 ] || { echo "uninstall: run it as root:  sudo ./uninstall.sh" >&2; exit 1; }
case "${1:-}" in
'' | --purge) ;;
*) echo "uninstall: usage: uninstall.sh [--purge]" >&2; exit 2 ;;
esac

if [ -d /run/systemd/system ]; then
    systemctl disable --now cadastre-worker 2>/dev/null || true
fi
# One that somebody started by hand. Whatever runs from $opt is ours, and holds the state open.
ours() {
    for process in /proc/[0-9]*; do
        command=
        # `read` drops the zero bytes between arguments; a process may end while we look.
        { IFS= read -r command <"$process/cmdline" || true; } 2>/dev/null
        case "$command" in "$opt/bin/"*) echo "${process#/proc/}" ;; esac
    done
}
waits=0
while running=$(ours) && [ -n "$running" ]; do
    # The agent needs less than a second; its journal is intact at any instant anyway.
    if [ "$waits" -lt 15 ]; then signal=TERM; else signal=KILL; fi
    # shellcheck disable=SC2086 # several process ids
    if [ "$((waits % 15))" = 0 ]; then kill -s "$signal" $running 2>/dev/null || true; fi
    [ "$waits" -lt 60 ] || { echo "uninstall: still running: $running" >&2; exit 1; }
    waits=$((waits + 1))
    sleep 0.1
done

rm -f "$service"
# What somebody else put at our places stays.
if [ "$(readlink "$link" || true)" = "$opt/bin/cadastre" ]; then rm -f "$link"; fi
if [ -e "$opt/pyvenv.cfg" ]; then rm -rf "$opt"; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ "${1:-}" != --purge ]; then
    echo "uninstall: program removed; $state is kept (--purge removes it)"
    exit 0
fi
rm -rf "$state"
case "$(getent passwd "$user" || true)" in
*"(install.sh)"*) userdel "$user" ;; # a user whom somebody else made stays
esac
echo "uninstall: program, state and user removed"
