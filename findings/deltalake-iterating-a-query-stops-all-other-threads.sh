#!/usr/bin/env bash
# A query of deltalake, whose batches are taken one after another while another Python thread does something each 10 ms, as renewing
# a lease or answering on a port.
# Guess: the query runs in Rust, on threads of its own, so Python's lock is free while a batch is waited for; if anything held it, it
#        would be `execute`.
# Seen (deltalake 1.6.6, arro3-core 0.9.1): `execute` returns at once, and the reader that it returns holds the lock while each
#        batch is made, by iteration as by `read_all`: the other thread stands still for as long as the query works, files on S3
#        included. The same reader handed to pyarrow 26.0.1 (`RecordBatchReader.from_stream`) lets it run.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check deltalake==1.6.6 arro3-core==0.9.1 pyarrow==26.0.1
cd "$work"
cat > lock.py <<'PYTHON'
import threading
import time

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake

ROWS = 3_000_000
write_deltalake("table", pa.table({"name": [f"picture{number:09}.jpg" for number in range(ROWS)]}))


def asked():
    query = "SELECT sha256(name) AS hash, count(*) AS names FROM pictures GROUP BY 1 ORDER BY 1 LIMIT 3"
    return QueryBuilder().register("pictures", DeltaTable("table")).execute(query)


def share_of_standstill(read):
    """Of the time that `read` takes, the longest pause of a thread that does something each 10 ms."""
    ended, pauses = threading.Event(), []

    def tick():
        last = time.monotonic()
        while not ended.is_set():
            time.sleep(0.01)
            pauses.append(time.monotonic() - last)
            last = time.monotonic()

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.monotonic()
    read()
    took = time.monotonic() - began
    ended.set()
    thread.join()
    return max(pauses) / took


shares = {
    "iteration": share_of_standstill(lambda: list(asked())),
    "read_all": share_of_standstill(lambda: asked().read_all()),
    "pyarrow": share_of_standstill(lambda: pa.RecordBatchReader.from_stream(asked()).read_all()),
}
for name, share in shares.items():
    print(f"{name}: another thread stood still for {share:.2f} of the query's time")
assert shares["iteration"] > 0.8 and shares["read_all"] > 0.8 and shares["pyarrow"] < 0.4, "this has changed"
PYTHON
"$work/venv/bin/python" lock.py
