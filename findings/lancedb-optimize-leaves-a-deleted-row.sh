#!/usr/bin/env bash
# A row that is deleted from a LanceDB table, and `optimize`, which "cleans up", with no age to wait for.
# Guess: after delete and optimize(cleanup_older_than=timedelta(0), delete_unverified=True) no file of the table holds the row, as
#        compaction writes files anew without what was deleted, and the old versions go.
# Seen (lancedb 0.40.0): of one row of 100 name and vector stay in the data file, which optimize keeps as it is where few of its rows
#        are deleted, and the name stands in a file of _transactions as well, as the condition. Of 20 rows of 100, deleted in the
#        same way, no name is left in any file.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check lancedb==0.40.0 pyarrow==26.0.1
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import warnings
from datetime import timedelta
from pathlib import Path

import lancedb
import pyarrow as pa

warnings.simplefilter("ignore")
NAMES = [f"photograph-{number:04}-of-a-customer.jpg" for number in range(100)]


def left_after_deleting(count):
    """The folders with files that hold a deleted name, by how many of the names they hold."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0] * 300, pa.float32()), 3)
    table = lancedb.connect(f"db-{count}").create_table("images", data=pa.table({"path": NAMES, "vector": vectors}))
    gone = NAMES[40 : 40 + count]
    table.delete("path IN ({})".format(", ".join(f"'{name}'" for name in gone)))
    table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
    assert table.count_rows() == 100 - count
    files = [path for path in Path(f"db-{count}").rglob("*") if path.is_file()]
    held = {path.parent.name: sum(name.encode() in path.read_bytes() for name in gone) for path in files}
    return {folder: names for folder, names in sorted(held.items()) if names}


one, fifth = left_after_deleting(1), left_after_deleting(20)
print(f"1 of 100 rows deleted: {one}; 20 of 100: {fifth}")
assert one == {"_transactions": 1, "data": 1} and fifth == {}, "this has changed"
PYTHON
