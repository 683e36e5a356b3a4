"""Erases 3 of many images after two refits, a compaction, an overwrite of one and a kill in the middle; then reads every byte.

    python tests/soak/erasure.py [--images FOLDER] [--count 2016] [--where local s3]

On a folder, and on an S3 server whose bucket keeps versions, for which it needs versitygw
(`go install github.com/versity/versitygw/cmd/versitygw@latest`). Without FOLDER the images are drawn. Says what it did, and exits
with 1 where a trace was found or anything else changed.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))  # the tests are no installed package

from fruitpipe import objects  # noqa: E402
from fruitpipe.pictures.drawn import draw  # noqa: E402
from tests.aws.conftest import REGION, versitygw_started  # noqa: E402
from tests.pictures import jpeg  # noqa: E402
from tests.raw_reader import hits, local_files, s3_versions  # noqa: E402

BUCKET = "fruits"
Files = Callable[[], Iterator[tuple[str, bytes]]]


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--images", help="a folder of pictures by label; drawn where it is not given")
    given.add_argument("--count", type=int, default=2016)
    given.add_argument("--where", nargs="+", choices=("local", "s3"), default=["local", "s3"])
    options = given.parse_args()
    failures = 0
    for where in options.where:
        print(f"--- {where}", flush=True)
        with tempfile.TemporaryDirectory(prefix="fruitpipe-erasure-") as folder, place(where, Path(folder)) as (uri, files):
            if not options.images:
                draw(Path(folder, "drawn"), images_per_label=-(-options.count // 12))
            failures += erase_and_look(uri, chosen(options.images or f"{folder}/drawn", options.count), files)
    return int(failures > 0)


@contextmanager
def place(where: str, folder: Path) -> Iterator[tuple[str, Files]]:
    """Where images and root are to lie, and what reads every file there, in every version."""
    (folder / "place").mkdir()
    if where == "local":
        yield f"file://{folder}/place", lambda: local_files(f"{folder}/place")
        return
    with versitygw_started(folder, versioned=True) as server, mock.patch.dict(os.environ, server.environment):
        server.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        server.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield f"s3://{BUCKET}", lambda: s3_versions(server.s3, BUCKET)


def chosen(folder: str, count: int) -> list[Path]:
    """The same images every time, of all labels."""
    every = sorted(path for path in Path(folder).rglob("*.jpg"))
    return sorted(random.Random(0).sample(every, count))


def upload(images: str, pictures: list[Path]) -> list[str]:
    uris = [f"{images}/{path.parent.name}/{path.name}" for path in pictures]
    for uri, path in zip(uris, pictures, strict=True):
        objects.write(uri, path.read_bytes())
    return uris


def certificate_of(root: str) -> str:
    """The only one, which is printed."""
    record = next(name for name in objects.children(f"{root}/erasures") if name.endswith(".json"))
    certificate = objects.read(f"{root}/erasures/{record}").decode()
    print(certificate, flush=True)
    return certificate


def erase_and_look(place: str, pictures: list[Path], files: Files) -> int:
    images, root = f"{place}/images", f"{place}/root"
    uris = upload(images, pictures)
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
    before_files = hits(files(), names, sought)
    print(f"before: traces in {len(before_files)} files", flush=True)
    job("-c", COMMAND, "erase", "--root", root, *wanted, "--requested-by", "the harness")
    killed_in_the_middle(stream, root)
    job(*stream)
    found = hits(files(), names, sought)
    after = vectors(root)
    same = after == {uri: vector for uri, vector in before.items() if uri not in wanted}
    print(
        f"after: traces in {len(found)} files {found[:5]}; the other {len(after)} rows unchanged bit for bit: {same}", flush=True
    )
    is_done = json.loads(certificate_of(root))["status"] == "done"
    return int(not before_files or bool(found) or not same or not is_done)


COMMAND = "from fruitpipe.cli import main; main()"
COMPACT = """
import sys
from delta.tables import DeltaTable
from fruitpipe.runtime import session
from fruitpipe.table import delta
root = sys.argv[1]
spark = session.open("compact", root)
done = DeltaTable.forPath(spark, delta.features_uri(root)).optimize().executeCompaction()
print("files packed:", done.select("metrics.numFilesRemoved").first()[0])
"""

VECTORS = """
import sys, pickle
from fruitpipe.runtime import session
from fruitpipe.table import delta
root, target = sys.argv[1:]
rows = delta.rows(session.open("read", root), root).where("features IS NOT NULL").select("path", "features").toArrow()
flat = rows["features"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
with open(target, "wb") as file:
    pickle.dump({path: row.tobytes() for path, row in zip(rows["path"].to_pylist(), flat)}, file)
"""


def vectors(root: str) -> dict[str, bytes]:
    """The features' bytes of every row, as the table gives them."""
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
    left = [name for name in objects.children(f"{root}/erasures") if name.endswith(".names.json")]
    print(f"killed in the middle; {len(left)} request is still pending", flush=True)


def job(*command: str) -> None:
    print("$ " + " ".join(part if len(part) < 100 else "..." for part in command), flush=True)
    subprocess.run([sys.executable, *command], cwd=CHECKOUT, check=True, env=os.environ | {"PYTHONPATH": str(CHECKOUT)})


if __name__ == "__main__":
    sys.exit(main())
