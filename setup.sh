#!/bin/sh
# Prepares .venv in this checkout. Run by `make setup`; safe to run again.
#
# The sandbox runs the interpreter as an unprivileged user, so the interpreter must be readable
# by everybody: a Python in a private home is not, and then the system's own is chosen.
set -eu
cd "$(dirname "$0")"

say() { printf '%s\n' "setup: $*" >&2; }

readable_by_all() { # every folder of the path searchable and the file readable by others
    path=$(readlink -f "$1") || return 1
    [ -n "$(find "$path" -maxdepth 0 -perm -0005 2>/dev/null)" ] || return 1
    path=$(dirname "$path")
    while [ "$path" != / ]; do
        [ -n "$(find "$path" -maxdepth 0 -perm -0001 2>/dev/null)" ] || return 1
        path=$(dirname "$path")
    done
}

suits() { # a Python 3.11 that has venv and that everybody can read
    command -v "$1" >/dev/null 2>&1 || return 1
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' \
        >/dev/null 2>&1 || return 1
    readable_by_all "$("$1" -c 'import os, sys; print(os.path.realpath(sys.executable))')"
}

as_root() { # run as root if we may, without asking for a password
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null 2>&1; then sudo -n "$@"; else return 1; fi
}

install_debian() { # $1: package; other arguments: what to tell when we may not
    package=$1
    if command -v apt-get >/dev/null 2>&1 &&
        { as_root apt-get install -y -qq "$package" >/dev/null 2>&1 ||
            { as_root apt-get update -qq >/dev/null 2>&1 &&
                as_root apt-get install -y -qq "$package" >/dev/null 2>&1; }; }; then
        say "installed the Debian package $package"
    else
        say "please install it and run make again:  sudo apt-get install $package"
        return 1
    fi
}

if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    say "Cadastre runs on Linux x86-64 for now; this is $(uname -s) $(uname -m)"
    exit 1
fi

python=
for candidate in "${PYTHON:-}" python3.11 /usr/bin/python3.11 /usr/bin/python3 python3; do
    [ -n "$candidate" ] && suits "$candidate" && python=$candidate && break
done
if [ -z "$python" ]; then
    say "no Python 3.11 that every user can read was found (it needs the venv module)"
    install_debian python3-venv
    python=/usr/bin/python3
    suits "$python" || { say "the system's python3 is not 3.11: set PYTHON=/path/to/python3.11"; exit 1; }
fi

if ! command -v bwrap >/dev/null 2>&1; then
    say "bubblewrap, which builds the sandbox, is missing"
    install_debian bubblewrap
fi

# Started by root, a worker drops to its own user and never runs an algorithm as root.
if [ "$(id -u)" = 0 ] && ! id cadastre-worker >/dev/null 2>&1; then
    useradd --system --no-create-home --shell /usr/sbin/nologin cadastre-worker &&
        say "created the system user cadastre-worker"
fi

[ -x .venv/bin/python ] || "$python" -m venv .venv
say "installing packages into .venv (a few minutes the first time)"
.venv/bin/python -m pip install -qq --disable-pip-version-check --upgrade 'pip>=24' 'setuptools>=77'
# torch's default build brings gigabytes for graphics cards: its CPU build comes from an index of its
# own. Where that is not to be reached, the line after it takes what the usual index has.
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --retries 0 --timeout 20 \
    --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 2>/dev/null ||
    say "torch's CPU build was not found at its own index; the usual one may bring its large build"
.venv/bin/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
touch .venv/ready
say "ready: .venv/bin/cadastre --help"
