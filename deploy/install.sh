#!/bin/bash
# Installs what lies beside it into FOLDER, from nothing but that: install.sh FOLDER. PYTHON names another python3.11.
set -eu
here=$(cd "$(dirname "$0")" && pwd) target=$1
(cd "$here" && sha256sum --quiet --check SHA256SUMS)
mkdir -p "$target"
"${PYTHON:-/usr/bin/python3.11}" -m venv --clear "$target/venv"
"$target/venv/bin/python" -m pip install --quiet --no-index --no-deps --find-links "$here/wheels" --requirement "$here/requirements.txt"
cp -R "$here/streaming" "$here/batch" "$here/bin" "$here/model" "$target"
chmod +x "$target/bin/stream"
