#!/bin/sh
# One backup of the scheduler, while it runs; older ones go after a week. Started every hour by
# cadastre-backup.timer. Copy the folder to another machine afterwards: a backup beside its disk
# dies with it. usage: cadastre-backup.sh [STATE [FOLDER [PASSPHRASE-FILE]]]
set -eu
cadastre=${CADASTRE:-/opt/cadastre-server/bin/cadastre}
state=${1:-/var/lib/cadastre-scheduler}
folder=${2:-/var/backups/cadastre}
# Keys go with it, sealed: keep a copy of this file where the backups are not.
passphrase=${3:-/etc/cadastre/backup-passphrase}
days=7 # what a round destroys for good lives on in a backup: not longer than this

umask 077
mkdir -p "$folder"
"$cadastre" scheduler backup --state "$state" --keys-passphrase "$passphrase" \
    --out "$folder/scheduler-$(date -u +%Y%m%dT%H%M%SZ).tar"
find "$folder" -maxdepth 1 -name 'scheduler-*.tar' -mtime +"$days" -delete
