"""Erases 3 of many images after two refits, a compaction, an overwrite of one and a kill in the middle; then reads every byte.

    python tests/soak/erasure.py IMAGES [--count 2016] [--s3 ENDPOINT BUCKET]

With --s3, images and root lie in a bucket that keeps versions; credentials come from the environment. Says what it did, and exits
with 1 where a trace was found or anything else changed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fruitpipe import objects
from tests.pictures import jpeg
from tests.raw_reader import hits, local_files, s3_versions

CHECKOUT = Path(__file__).parents[2]


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("images")
    given.add_argument("--count", type=int, default=2016)
    given.add_argument("--s3", nargs=2, metavar=("ENDPOINT", "BUCKET"))
    options = given.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruitpipe-erasure-") as folder:
        place = f"s3://{options.s3[1]}" if options.s3 else f"file://{folder}"
        files = client_files(*options.s3) if options.s3 else (lambda: local_files(folder))
        if options.s3:
            os.environ["AWS_ENDPOINT_URL_S3"] = options.s3[0]
        return erase_and_look(place, chosen(options.images, options.count), files)


def chosen(folder: str, count: int) -> list[Path]:
    """The same images every time, of all labels."""
    every = sorted(path for path in Path(folder).rglob("*.jpg"))
    return sorted(random.Random(0).sample(every, count))


def client_files(endpoint: str, bucket: str):
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint)
    return lambda: s3_versions(client, bucket)


def erase_and_look(place: str, pictures: list[Path], files) -> int:
    images, root = f"{place}/images", f"{place}/root"
    uris = [f"{images}/{path.parent.name}/{path.name}" for path in pictures]
    for uri, path in zip(uris, pictures, strict=True):
        objects.write(uri, path.read_bytes())
    stream = ["streaming/ingest.py", "--images", images, "--root", root, "--once", "--erasure-grace-hours", "0"]
    job(*stream)
    job("batch/refit.py", "--root", root)
    wanted = [uris[index] for index in (7, len(uris) // 2, -7)]
    first = vectors(root)
    objects.write(wanted[0], jpeg(99))
    job("batch/reconcile.py", "--images", images, "--root", root)
    job(*stream)
    job("batch/refit.py", "--root", root)
    job("-c", COMPACT, root)
    before = vectors(root)
    sought = tuple(kept[uri] for kept in (first, before) for uri in wanted)
    names = [uri.partition(":")[2].lstrip("/") for uri in wanted]
    print(f"before: traces in {len(hits(files(), names, sought))} files", flush=True)
    job("-c", COMMAND, "erase", "--root", root, *wanted, "--requested-by", "the harness")
    killed_in_the_middle(stream, root)
    job(*stream)
    found = hits(files(), names, sought)
    after = vectors(root)
    same = after == {uri: vector for uri, vector in before.items() if uri not in wanted}
    print(
        f"after: traces in {len(found)} files {found[:5]}; the other {len(after)} rows unchanged bit for bit: {same}", flush=True
    )
    record = next(name for name in objects.children(f"{root}/erasures") if name.endswith(".json"))
    print(objects.read(f"{root}/erasures/{record}").decode(), flush=True)
    return int(bool(found) or not same)


COMMAND = "from fruitpipe.cli import main; main()"
COMPACT = """
import sys
from delta.tables import DeltaTable
from fruitpipe import session, tables
root = sys.argv[1]
spark = session.open("compact", root)
done = DeltaTable.forPath(spark, tables.features_uri(root)).optimize().executeCompaction()
print("files packed:", done.select("metrics.numFilesRemoved").first()[0])
"""

VECTORS = """
import sys, pickle
from fruitpipe import session, tables
root, target = sys.argv[1:]
rows = tables.rows(session.open("read", root), root).where("features IS NOT NULL").select("path", "features").toArrow()
flat = rows["features"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
with open(target, "wb") as file:
    pickle.dump({path: row.tobytes() for path, row in zip(rows["path"].to_pylist(), flat)}, file)
"""


def vectors(root: str) -> dict[str, bytes]:
    """The features' bytes of every row, as the table gives them."""
    import pickle

    with tempfile.NamedTemporaryFile() as target:
        job("-c", VECTORS, root, target.name)
        return pickle.loads(Path(target.name).read_bytes())


def killed_in_the_middle(stream: list[str], root: str) -> None:
    """Starts the stream and kills it with SIGKILL once the erasure has gathered what it looks for and the rows are going."""
    with subprocess.Popen(
        [sys.executable, *stream], cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not any(name.endswith(".traces.json") for name in objects.children(f"{root}/erasures")):
            assert process.poll() is None, "the stream ended before it could be killed"
            time.sleep(0.02)
        time.sleep(3)
        process.send_signal(signal.SIGKILL)
    if objects.is_s3(root):
        time.sleep(61)  # its lease ends
    left = [name for name in objects.children(f"{root}/erasures") if name.endswith(".names.json")]
    print(f"killed in the middle; {len(left)} request is still pending", flush=True)


def job(*command: str) -> None:
    print("$ " + " ".join(part if len(part) < 100 else "..." for part in command), flush=True)
    subprocess.run([sys.executable, *command], cwd=CHECKOUT, check=True, env=os.environ | {"PYTHONPATH": str(CHECKOUT)})


if __name__ == "__main__":
    sys.exit(main())
