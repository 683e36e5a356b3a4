#!/usr/bin/env bash
# A record batch that comes out of a SQL query of deltalake (delta-rs), filtered with pyarrow.
# Guess: strings come as Arrow's string type, as to_pyarrow_table gives them, and RecordBatch.filter takes any column type.
# Seen (deltalake 1.6.6, pyarrow 26.0.1): a query gives string_view columns, and filter raises ArrowNotImplementedError, as there is
#        no kernel that takes values from them. A cast to string comes first.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake

write_deltalake("table", pa.table({"name": ["kiwi", "lemon"]}))
table = DeltaTable("table")
plain = pa.table(table.to_pyarrow_table())
(batch,) = (pa.record_batch(one) for one in QueryBuilder().register("t", table).execute("SELECT name FROM t"))
print(f"to_pyarrow_table: {plain['name'].type}; a query: {batch['name'].type}")
try:
    batch.filter(pa.array([True, False]))
except pa.ArrowNotImplementedError as error:
    print(f"filter: {error}")
else:
    raise SystemExit("this has changed: filter takes it")
PYTHON
