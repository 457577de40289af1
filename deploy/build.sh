#!/bin/sh
# Builds the offline package for city computers: wheels, unit, install.sh, uninstall.sh, one tar.
# usage: deploy/build.sh PYTHON   (run by `make package`)
set -eu
cd "$(dirname "$0")/.."
python=$1
version=$("$python" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
name=cadastre-worker-$version-linux-x86_64
# setuptools copies into build/lib and never removes: a deleted module would live on in the wheel.
rm -rf "build/$name" build/lib build/bdist.linux-x86_64
mkdir -p "build/$name/wheels" dist
# Wheels are zip files, whose times start in 1980.
SOURCE_DATE_EPOCH=315532800 "$python" -m pip wheel -qq --disable-pip-version-check \
    --wheel-dir "build/$name/wheels" '.[capsule,encrypted]'
cp deploy/install.sh deploy/uninstall.sh worker/unit/cadastre-worker.service LICENSE "build/$name/"
(cd "build/$name" && find . -type f | LC_ALL=C sort | xargs sha256sum >../SHA256SUMS)
mv build/SHA256SUMS "build/$name/"
# Sorted names, fixed owners, modes and times: the same input gives the same tar.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode='u=rwX,go=rX' \
    -C build -cf "dist/$name.tar" "$name"
rm -rf "build/$name" build/lib build/bdist.linux-x86_64
echo "dist/$name.tar ($(du -m "dist/$name.tar" | cut -f1) MB)"
