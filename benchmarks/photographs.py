"""Camera photographs: the product beside its bound, Daft, Ray Data and its own build of before, on one machine.

    python benchmarks/photographs.py run --peers PYTHON --before PYTHON --results FILE
                                                                          images/s, each engine in turn, some rounds
    python benchmarks/photographs.py vectors                              cosines to full decoding, and whose label is nearest
    python benchmarks/photographs.py memory                               what a picture takes of a worker's memory, by size
    python benchmarks/photographs.py s3 --delay-seconds 0.03              images/s of the stream: a folder, S3, a slow S3
    python benchmarks/photographs.py table --results FILE                 what FILE holds, as Markdown

Photographs are drawn (`scenes.py`): 1920 x 1080, 4000 x 3000 plain and in Display P3, 8000 x 6000; quality 90, 4:2:0. The
bound reads a file, decodes it at an eighth of its size, which is entropy decoding and little else, and runs the model. Daft and
Ray Data decode once as their guides say, with their own decoders, and once with the decoder of 2e34f4e, which is the product's
`--decode full`. The build of that commit is run from a copy of its files, on the Spark that it knows (`make .venv-before/ready`).
Rates are those of compare.py. From S3 the stream is measured by events, as `delay.py` has it: from the manifests to the last row;
the server and the proxy that delays take their share of the same cores.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import compare, delay, engines, results, s3_server, scenes
from fruitpipe.extractor.inference import ModelFile, Network
from fruitpipe.pictures.decoding import decode
from fruitpipe.settings import default_model

BEFORE = "2e34f4e"
PART = "photographs"
DIFFERENT = 40  # photographs of a size in the bucket; there may be more names than that
WARM_UP = 16  # images before the clock starts


class Photographs(NamedTuple):
    """What is drawn of a size. images: that an engine is given, the drawn ones repeated, so that its start counts for little."""

    name: str
    size: tuple[int, int]
    drawn: int
    images: int
    is_p3: bool = False


SIZES = (
    Photographs("1920x1080", (1920, 1080), 200, 2000),
    Photographs("4000x3000", (4000, 3000), 200, 600),
    Photographs("4000x3000 P3", (4000, 3000), 100, 300, is_p3=True),
    Photographs("8000x6000", (8000, 6000), 40, 120),
)
PEAK = """
import sys
from fruitpipe.pictures import drawn
from fruitpipe.pictures.decoding import decode
def peak(): return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
decode(drawn.jpeg("Kiwi", 0))
body = open(sys.argv[1], "rb").read()
before = peak()
decode(body, in_full=sys.argv[2] == "full")
print(round(peak() - before))
"""
FULL = {"FRUITPIPE_DECODE": "full"}
LEAST_COSINE = 0.8  # of vectors by other decoders to the product's: their ways of scaling differ, but the picture is the same
OURS = engines.THROUGHPUT["fruitpipe"]
DAFT, RAY = engines.THROUGHPUT["daft"], engines.THROUGHPUT["ray"]
ENGINES = {
    "bound": engines.BOUND._replace(name="bound: read, entropy-decode, infer", script="benchmarks/entropy_bound.py"),
    "fruitpipe": OURS,
    "full": OURS._replace(name="fruitpipe --decode full", environment=FULL),
    "before": OURS._replace(name=f"fruitpipe {BEFORE}", environment=FULL),  # which it does not read: it knows no other way
    "daft": DAFT._replace(name="Daft, its own decoder", script="benchmarks/with_daft_images.py", least_cosine=LEAST_COSINE),
    "daft_full": DAFT._replace(name=f"Daft, decoder of {BEFORE}", environment=FULL),
    "ray": RAY._replace(name="Ray Data, its own decoder", script="benchmarks/with_ray_images.py", least_cosine=LEAST_COSINE),
    "ray_full": RAY._replace(name=f"Ray Data, decoder of {BEFORE}", environment=FULL),
}


def run(given: argparse.Namespace, folder: Path) -> None:
    """The engines in turn, `rounds` times, for each size."""
    asked = [build_of_before(given.before, folder / "before") if name == "before" else ENGINES[name] for name in given.engines]
    for photographs in (some for some in SIZES if some.name in given.sizes):
        count = given.images or photographs.images
        source = drawn(folder / "drawn", photographs, count)
        images = compare.pictures(folder / photographs.name.replace(" ", "-"), count, source)
        what = f"{min(photographs.drawn, count)} drawn photographs"
        for round_ in range(given.rounds):
            for engine in asked:
                line = compare.facts(given, engine) | {"round": round_, "kind": photographs.name, "images": count}
                line |= {"photographs": what}
                results.expect(given.results, line)
                if not results.has(given.results, line):
                    compare.measure(given, line, engine, images, folder / "out")
                    shutil.rmtree(folder / "out", ignore_errors=True)
        shutil.rmtree(images)
        shutil.rmtree(source)


def drawn(folder: Path, photographs: Photographs, most: int | None) -> Path:
    """A folder of different photographs, as many as are drawn of their size, or `most`."""
    scenes.draw(folder, photographs.size, min(photographs.drawn, most or photographs.drawn), is_p3=photographs.is_p3)
    return folder


def build_of_before(python: str, folder: Path) -> engines.Engine:
    """The engine of the commit of before, its files laid into `folder` and Java's classes recorded as `make` does.

    python: of an environment with the Spark that it knows, 4.0.
    """
    checkout(folder)
    python = os.path.abspath(python)  # it is run from there; a link is not followed, as it tells Python its environment
    there = os.environ | {"PYTHONPATH": str(folder)}
    subprocess.run([python, "record_classes.py"], cwd=folder, env=there, stdout=subprocess.DEVNULL, check=True)
    return ENGINES["before"]._replace(python=python, checkout=folder)


def checkout(folder: Path) -> None:
    """Lays the files of the commit of before into a new folder."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", BEFORE], cwd=engines.CHECKOUT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)


def vectors(given: argparse.Namespace, folder: Path) -> None:
    """How near vectors are to those of full decoding, and whether the nearest other picture's label is the same."""
    extract = Network(ModelFile.load(default_model()).body)
    for photographs in (some for some in SIZES if some.name in given.sizes):
        images = drawn(folder / "drawn", photographs, given.images)
        files = sorted(images.glob("*/*.jpg"))
        both = np.array([[extract(decode(file.read_bytes(), in_full=full).pixels) for full in (False, True)] for file in files])
        both /= np.linalg.norm(both, axis=2, keepdims=True)
        labels = np.array([file.parent.name for file in files])
        cosines = (both[:, 0] * both[:, 1]).sum(axis=1)
        scaled, full = (nearest(both[:, way], labels) for way in (0, 1))
        print(
            f"{photographs.name}: {len(files)} pictures, cosine mean {cosines.mean():.5f}, least {cosines.min():.5f}; label of "
            f"the nearest other alike for {(scaled == full).mean():.3f}, right for {(scaled == labels).mean():.3f} scaled and "
            f"{(full == labels).mean():.3f} in full",
            flush=True,
        )
        shutil.rmtree(images)


def memory(_: argparse.Namespace, folder: Path) -> None:
    """What one picture adds to the peak of a process that has seen a small one, decoded at a fraction and in full."""
    sizes = {"1 MP": (1152, 864), "12 MP": (4000, 3000), "12 MP P3": (4000, 3000), "48 MP": (8000, 6000)}
    for name, size in sizes.items():
        images = folder / name.replace(" ", "-")
        scenes.draw(images, size, 1, is_p3=name.endswith("P3"))
        (file,) = images.glob("*/*.jpg")
        taken = [
            subprocess.run(
                [sys.executable, "-c", PEAK, str(file), way], capture_output=True, text=True, check=True, cwd=engines.CHECKOUT
            )
            for way in ("", "full")
        ]
        scaled, full = (run.stdout.strip() for run in taken)
        print(f"{name}: {scaled} MB, in full {full} MB", flush=True)


def s3(given: argparse.Namespace, folder: Path) -> None:
    """Images/s of the stream by events: from a folder, from an S3 server here, and with a delay on each of its requests."""
    slow = f"{given.delay_seconds * 1000:.0f} ms a request"
    print(f"| photographs | folder | S3 | S3, {slow} | of the folder | of S3 |", "|---" * 6 + "|", sep="\n", flush=True)
    with s3_server.started(folder / "s3") as server:
        server.bucket(delay.BUCKET)
        for photographs in (some for some in SIZES if some.name in given.sizes):
            count = given.images or photographs.images
            source = drawn(folder / "drawn", photographs, min(count, DIFFERENT))
            load = delay.Load([file.read_bytes() for file in sorted(source.glob("*/*.jpg"))], count, WARM_UP)
            shutil.rmtree(source)
            for round_ in range(given.rounds):
                name = f"{photographs.name.replace(' ', '-')}-{round_}"
                here = (folder / name).as_uri()
                delay.upload(here, load)
                rates = [delay.rate("events", here, load, {})]
                rates += [delay.measured(server, "events", load, seconds, name) for seconds in (0.0, given.delay_seconds)]
                shutil.rmtree(folder / name)
                ratios = [rates[2] / rates[0], rates[2] / rates[1]]
                cells = [*(f"{rate:.1f}" for rate in rates), *(f"{ratio:.2f}" for ratio in ratios)]
                print(f"| {photographs.name} | {' | '.join(cells)} |", flush=True)


def nearest(units: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each row of unit vectors the label of the nearest other row."""
    alike = units @ units.T
    np.fill_diagonal(alike, -1)
    found: np.ndarray = labels[alike.argmax(axis=1)]
    return found


def table(given: argparse.Namespace) -> str:
    """Images/s by size and engine; medians, with ratios to the build of before, to Daft and to the bound of the same round."""
    lines = [line for line in results.recorded(given.results) if line["part"] == PART]
    said = [f"| photographs | engine | images/s | of {BEFORE} | of Daft | of the bound |", "|---" * 6 + "|"]
    for kind in dict.fromkeys(line["kind"] for line in lines):
        runs = {(line["engine"], line["round"]): line["images"] / line["within"] for line in lines if line["kind"] == kind}
        for engine in dict.fromkeys(name for name, _ in runs):
            cells = [f"{median(rate for (name, _), rate in runs.items() if name == engine):.1f}"]
            for other in (ENGINES[name].name for name in ("before", "daft", "bound")):
                pairs = [rate / runs[other, r] for (name, r), rate in runs.items() if name == engine and (other, r) in runs]
                cells.append(f"{median(pairs):.2f}" if pairs else "")
            said.append(f"| {kind} | {engine} | {' | '.join(cells)} |")
    return "\n".join(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "vectors", "memory", "s3", "table"))
    parser.add_argument("--results", type=Path, default=Path("bench.jsonl"))
    parser.add_argument("--peers", default="", help="the Python of the environment that holds the peers")
    parser.add_argument("--before", default="", help=f"the Python of an environment with Spark 4.0, for the build of {BEFORE}")
    parser.add_argument("--images", type=int, help="of each size; by default 2000, 600, 300 and 120")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", default=[some.name for some in SIZES], choices=[some.name for some in SIZES])
    parser.add_argument("--delay-seconds", type=float, default=0.03, help="of each request to S3 (default: %(default)s)")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    given = parser.parse_args()
    if given.what == "run" and "before" in given.engines and not given.before:
        parser.error(f"--before: name a Python with Spark 4.0 for {BEFORE}, as `make .venv-before/ready` makes one, or --engines")
    if given.what == "run" and not given.peers and any(not ENGINES[name].own for name in given.engines):
        parser.error("--peers: name a Python with Daft and Ray, as `make .venv-peers/ready` makes one, or --engines")
    given.part = PART
    if given.what == "table":
        print(table(given))
        return
    with tempfile.TemporaryDirectory(prefix="fruitpipe-photographs-") as folder:
        {"run": run, "vectors": vectors, "memory": memory, "s3": s3}[given.what](given, Path(folder))


if __name__ == "__main__":
    main()
