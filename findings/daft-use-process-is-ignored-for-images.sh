#!/usr/bin/env bash
# A Daft class UDF with use_process=True and max_concurrency=2, given pictures that Daft has decoded.
# Guess: two processes, one object each, as for the same UDF that is given bytes, strings or numbers; so a model that is for one thread
#        alone, as LiteRT's interpreter is, may be kept in the object.
# Seen (daft 0.7.26): given a column of images it runs in the driver's own process, on several threads that share one object, and
#        nothing says so; given the same pictures as bytes it runs in two other processes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check daft==0.7.26 pillow==13.0.0 numpy==2.4.6
cd "$work"
cat > udf.py <<'PYTHON'
import io
import os
import threading
import time

import daft
import numpy as np
from daft import DataType, Series, col
from daft.functions import decode_image
from PIL import Image


@daft.cls(max_concurrency=2, use_process=True)
class Where:
    @daft.method.batch(return_dtype=DataType.string(), batch_size=4)
    def __call__(self, pictures: Series) -> list:
        time.sleep(0.05)
        return [f"{os.getpid()} {threading.get_ident()} {id(self)}"] * len(pictures)


def png(seed):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


bodies = daft.from_pydict({"body": [png(seed) for seed in range(200)]})
seen = {}
for kind, column in (("bytes", col("body")), ("images", decode_image(col("body"), mode="RGB"))):
    told = bodies.select(Where()(column).alias("where")).to_pydict()["where"]
    processes = {int(one.split()[0]) for one in told}
    seen[kind] = "the driver's" if processes == {os.getpid()} else "others" if os.getpid() not in processes else "both"
    print(kind, "ran in", seen[kind], "on", len({one.rsplit(" ", 1)[0] for one in told}), "threads or processes,",
          len({one.rsplit(" ", 1)[1] for one in told}), "objects by their ids")
assert seen == {"bytes": "others", "images": "the driver's"}, "this has changed"
PYTHON
"$work/venv/bin/python" udf.py
