#!/bin/sh
# Installs the worker on this computer, without a network:  sudo ./install.sh
# Puts the program in /opt/cadastre, its state in /var/lib/cadastre, a service that is not started
# before the computer has joined a territory. Running it again upgrades in place.
set -eu
umask 022 # the sandbox runs as a user of its own, who must be able to read the program
cd "$(dirname "$0")"
opt=/opt/cadastre
state=/var/lib/cadastre
user=cadastre-worker

stop() { printf 'install: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || stop "run it as root:  sudo ./install.sh"
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || stop "this package is for Linux x86-64"
sha256sum --quiet --check SHA256SUMS || stop "the package is damaged: copy it again"
python=/usr/bin/python3
"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null ||
    stop "Debian's Python 3.11 with venv is needed:  apt-get install python3-venv"
command -v bwrap >/dev/null || stop "bubblewrap is needed:  apt-get install bubblewrap"

# The comment tells uninstall.sh that the user is this package's, and may go with it.
id "$user" >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin \
    --comment "Cadastre worker (install.sh)" "$user"
install -d -m 0700 -o "$user" -g "$user" "$state"
[ -x "$opt/bin/python" ] || "$python" -m venv "$opt"
"$opt/bin/python" -m pip install -qq --disable-pip-version-check --no-index --find-links wheels \
    --force-reinstall --no-deps wheels/*.whl
ln -sf "$opt/bin/cadastre" /usr/local/bin/cadastre
if [ -d /etc/systemd/system ]; then
    install -m 0644 cadastre-worker.service /etc/systemd/system/cadastre-worker.service
    systemctl daemon-reload 2>/dev/null || true
fi
"$opt/bin/cadastre" doctor --state "$state" || true
cat <<TEXT
install: done. Next:
  cadastre worker join TOKEN --state $state
  systemctl enable --now cadastre-worker      (or: cadastre worker run --state $state)
TEXT
