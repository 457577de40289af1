#!/bin/sh
# Removes the worker:  sudo ./uninstall.sh [--purge]
# Without --purge the state (keys, capsules, journal) stays in /var/lib/cadastre.
set -eu
[ "$(id -u)" = 0 ] || { echo "uninstall: run it as root" >&2; exit 1; }
if command -v systemctl >/dev/null; then
    systemctl disable --now cadastre-worker 2>/dev/null || true
fi
rm -f /etc/systemd/system/cadastre-worker.service /usr/local/bin/cadastre
rm -rf /opt/cadastre
if [ "${1:-}" = --purge ]; then
    rm -rf /var/lib/cadastre
    userdel cadastre-worker 2>/dev/null || true
    echo "uninstall: program, state and user removed"
else
    echo "uninstall: program removed; /var/lib/cadastre is kept (--purge removes it)"
fi
