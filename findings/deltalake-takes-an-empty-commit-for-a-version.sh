#!/usr/bin/env bash
# A file of Delta's log that has 0 bytes, as a full disk or a broken copy leaves it, read by deltalake (delta-rs).
# Guess: the table cannot be read, or the file is named: a commit without a single action says nothing that a reader may rely on.
# Seen (deltalake 1.6.6): the table opens at that version without a word and has the rows of the version before, so rows that were
#        committed are missing in silence.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

for number in range(3):
    write_deltalake("table", pa.table({"number": [number]}), mode="append")
log = Path("table/_delta_log")
(log / f"{2:020}.json").write_bytes(b"")

table = DeltaTable("table")
rows = sorted(pa.table(table.to_pyarrow_table())["number"].to_pylist())
print(f"version {table.version()}, rows {rows}; the third append is gone, and nothing was said")
assert (table.version(), rows) == (2, [0, 1]), "this has changed"
PYTHON
