#!/usr/bin/env bash
# A row is deleted from a Delta table that keeps a change data feed, by deltalake, and then the table is vacuumed with a retention of
# no hours: what a request for erasure comes to.
# Guess: a vacuum removes each file that the newest version does not need. Of lite and full it is said that a full one also looks for
#        files that no commit names, so lite does for what commits have named, as they have the file of changes.
# Seen (deltalake 1.6.6, pyarrow 26.0.1): the vacuum as it comes, which is lite, removes the data file alone. The deleted row stays
#        whole in `_change_data`, however often it is run; only `full=True` removes that file.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
cd "$work"
cat > vacuum.py <<'PYTHON'
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

write_deltalake(
    "pictures",
    pa.table({"path": ["apple.jpg", "kiwi.jpg", "person.jpg"], "feature": [0.1, 0.2, 0.3]}),
    configuration={"delta.enableChangeDataFeed": "true"},
)
DeltaTable("pictures").delete("path = 'person.jpg'")
is_named = any("_change_data/" in line for line in Path("pictures/_delta_log/00000000000000000001.json").read_text().splitlines())


def holding():
    files = sorted(Path("pictures").rglob("*.parquet"))
    return ["changes" if file.parent.name == "_change_data" else "data" for file in files
            if "person.jpg" in pq.read_table(file, columns=["path"])["path"].to_pylist()]


def vacuumed(**more):
    DeltaTable("pictures").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, **more)
    return holding()


seen = {"after the delete": holding(), "lite": vacuumed(), "lite again": vacuumed(), "full": vacuumed(full=True)}
print("the commit names the file of changes:", is_named)
for when, where in seen.items():
    print(f"{when}: the row stands in {where}")
assert is_named
expected = {"after the delete": ["changes", "data"], "lite": ["changes"], "lite again": ["changes"], "full": []}
assert seen == expected, "this has changed"
PYTHON
"$work/venv/bin/python" vacuum.py
