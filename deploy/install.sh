#!/bin/sh
# Installs the worker on this computer, without a network:  sudo ./install.sh
# Puts the program in /opt/cadastre, its state in /var/lib/cadastre, a service that is not started
# before the computer has joined a territory. Running it again repairs or upgrades the program and
# leaves the state as it is; a service that ran before runs again afterwards.
set -eu
umask 022 # the sandbox runs as a user of its own, who must be able to read the program
cd "$(dirname "$0")"
opt=/opt/cadastre
state=/var/lib/cadastre
user=cadastre-worker
link=/usr/local/bin/cadastre
service=/etc/systemd/system/cadastre-worker.service
needed_kilobytes=500000 # twice what the program takes: pip unpacks beside what it replaces

stop() { printf 'install: %s\n' "$*" >&2; exit 1; }
suits() { # a Python 3.11 that can make environments: the wheels are made for it
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null
}
ours() { # the first process that runs from $opt, if one does
    for process in /proc/[0-9]*; do
        command=
        # `read` drops the zero bytes between arguments; a process may end while we look.
        { IFS= read -r command <"$process/cmdline" || true; } 2>/dev/null
        case "$command" in "$opt/bin/"*) echo "${process#/proc/}" && return ;; esac
    done
}

# Everything that may stop us comes before the first change.
[ "$(id -u)" = 0 ] || stop "run it as root:  sudo ./install.sh"
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || stop "this package is for Linux x86-64"
sha256sum --quiet --check SHA256SUMS || stop "the package is damaged: copy it again"
python=
for candidate in /usr/bin/python3.11 /usr/bin/python3; do
    suits "$candidate" && python=$candidate && break
done
[ -n "$python" ] ||
    stop "the system's Python 3.11 with venv is needed (Debian 12):  apt-get install python3-venv"
command -v bwrap >/dev/null || stop "bubblewrap is needed:  apt-get install bubblewrap"
if [ -e "$opt" ] && [ ! -e "$opt/pyvenv.cfg" ]; then
    stop "$opt is there and not ours: move it away"
fi
if { [ -e "$link" ] || [ -L "$link" ]; } && [ "$(readlink "$link")" != "$opt/bin/cadastre" ]; then
    stop "$link is there and not ours: move it away"
fi
free=$(df -Pk "$(dirname "$opt")" | awk 'NR == 2 { print $4 }')
[ "$free" -ge "$needed_kilobytes" ] ||
    stop "$(dirname "$opt") has $((free / 1000)) MB free, $((needed_kilobytes / 1000)) are needed"

# A running worker must not find half of the old program and half of the new one.
restart=no
if [ -d /run/systemd/system ] && systemctl is-active --quiet cadastre-worker; then
    systemctl stop cadastre-worker
    restart=yes
    trap '[ $? = 0 ] || echo "install: the worker is stopped; repair, then run this again" >&2' EXIT
fi
running=$(ours)
[ -z "$running" ] ||
    stop "process $running runs from $opt: stop it first:  cadastre worker stop --state $state"

# The comment tells uninstall.sh that the user is this package's, and may go with it.
id "$user" >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin \
    --comment "Cadastre worker (install.sh)" "$user"
install -d -m 0700 -o "$user" -g "$user" "$state"
# After an upgrade of the system the old environment's Python may be gone, or another one.
if [ -e "$opt" ] && ! { suits "$opt/bin/python" && "$opt/bin/python" -c 'import pip' 2>/dev/null; }; then
    rm -rf "$opt"
fi
[ -e "$opt" ] || "$python" -m venv "$opt"
"$opt/bin/python" -m pip install -qq --disable-pip-version-check --no-index --find-links wheels \
    --force-reinstall --no-deps wheels/*.whl
ln -sf "$opt/bin/cadastre" "$link"
if [ -d /etc/systemd/system ]; then
    install -m 0644 cadastre-worker.service "$service"
    systemctl daemon-reload 2>/dev/null || true
fi
"$opt/bin/cadastre" doctor --state "$state" || true
if [ "$restart" = yes ]; then
    systemctl start cadastre-worker
    echo "install: upgraded; the worker runs again"
    exit 0
fi
cat <<TEXT
install: done. Next, unless this computer has joined already:
  cadastre worker join TOKEN --state $state
then:
  systemctl enable --now cadastre-worker      (or: cadastre worker run --state $state)
TEXT
