"""The product beside the bound and other engines: the same files, the same columns, one machine.

    python benchmarks/compare.py throughput --peers PYTHON --results FILE     images/s, each engine in turn, some rounds
    python benchmarks/compare.py small --peers PYTHON --results FILE          whole processes: cold, nothing new, 20 new
    python benchmarks/compare.py table --results FILE                         what FILE holds, as Markdown

Each run is a process of its own into an empty folder. What it wrote is read back and checked; then its line is added to FILE.
What FILE holds already is not run again, so an interrupted comparison goes on where it was. Lines of another machine, of other
code or of other versions are refused. `make bench` runs all of it.

Two rates: `within`, from the moment when the engine is up (modules imported, Spark's session or Ray's cluster started; for the
bound: models loaded) to its last row; and `whole`, the process from start to end. Where there are fewer photographs than images
are asked for, they are repeated under other names; where there are none, pictures are drawn.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import engines, results
from benchmarks.features import PHOTOGRAPHS
from fruitpipe.pictures import drawn

THROUGHPUT_IMAGES = 20_000
SMALL_IMAGES = 2_016
NEW_IMAGES = 20
DRAWN_PER_LABEL = 168  # 12 labels: 2,016 pictures


def photographs(asked: Path, folder: Path) -> tuple[Path, str]:
    """A folder of pictures in folders of their labels, and what they are: those of `asked`, or else drawn."""
    count = sum(1 for _ in asked.glob("*/*.jpg"))
    if count:
        return asked, f"{count} photographs"
    return folder, f"{drawn.draw(folder, images_per_label=DRAWN_PER_LABEL)} drawn pictures"


def pictures(folder: Path, count: int, photographs: Path) -> Path:
    """A folder of `count` images in folders of their labels: the photographs, repeated under other names where they are fewer."""
    sources = sorted(photographs.glob("*/*.jpg"))
    for number in range(count):
        source = sources[number % len(sources)]
        target = folder / source.parent.name / f"{number // len(sources)}-{source.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return folder


def throughput(given: argparse.Namespace, folder: Path) -> None:
    """The engines in turn, `rounds` times, so that a busy moment of the machine meets all."""
    asked = [engines.THROUGHPUT[name] for name in given.engines or engines.THROUGHPUT]
    source, what = photographs(given.photographs, folder / "drawn")
    counts = {engine.one_in: max(1, given.images // engine.one_in) for engine in asked}
    images = {one_in: pictures(folder / f"images-{one_in}", count, source) for one_in, count in counts.items()}
    for round_ in range(given.rounds):
        for engine in asked:
            line = facts(given, engine) | {"round": round_, "images": counts[engine.one_in], "photographs": what}
            results.expect(given.results, line)
            if not results.has(given.results, line):
                measure(given, line, engine, images[engine.one_in], folder / "out")
                shutil.rmtree(folder / "out", ignore_errors=True)  # the bound writes nothing


def small(given: argparse.Namespace, folder: Path) -> None:
    """Cold, nothing new, 20 new; each engine in its own folder, `rounds` times."""
    source, what = photographs(given.photographs, folder / "drawn")
    for round_ in range(given.rounds):
        for name in given.engines or engines.SMALL:
            line = facts(given, engines.SMALL[name]) | {"round": round_, "images": given.images, "photographs": what}
            lines = [line | {"kind": kind} for kind in results.KINDS]
            results.expect(given.results, line)
            if not all(results.has(given.results, line) for line in lines):
                three_runs(given, lines, engines.SMALL[name], pictures(folder / "new", given.images, source))
                shutil.rmtree(folder / "new")


def three_runs(given: argparse.Namespace, lines: list[results.Line], engine: engines.Engine, new: Path) -> None:
    """The kinds of small runs, one after the other; those whose line is there already are made once more for the next to find."""
    images, out = new.with_name("images"), new.with_name("out")
    every = given.images // NEW_IMAGES
    held = sorted(new.glob("*/*.jpg"))[::every][:NEW_IMAGES]
    move(sorted(set(new.glob("*/*.jpg")) - set(held)), new, images)
    for line in lines:
        if line["kind"] == "20 new":
            move(held, new, images)
        measure(given, line, engine, images, out)
    shutil.rmtree(images)
    shutil.rmtree(out)


def facts(given: argparse.Namespace, engine: engines.Engine) -> results.Line:
    """The facts on how a line of results was made."""
    said = {"part": given.part, "engine": engine.name, "versions": engines.versions(engine, given.peers)}
    return said | {"machine": engines.machine(), "code": engines.code()}


def measure(given: argparse.Namespace, line: results.Line, engine: engines.Engine, images: Path, out: Path) -> None:
    """Runs the engine, and adds the run to the results where they do not hold it yet."""
    load = os.getloadavg()[0]
    try:
        took = engines.run(engine, images, out, given.peers)
    except (subprocess.CalledProcessError, ValueError) as error:
        raise SystemExit(f"error: {error}\n{getattr(error, 'stderr', '')}") from error
    if not results.has(given.results, line):
        results.record(given.results, line | took._asdict() | {"load": load})


def move(files: list[Path], source: Path, target: Path) -> None:
    """Moves files of `source` to the same places under `target`."""
    for file in files:
        there = target / file.relative_to(source)
        there.parent.mkdir(parents=True, exist_ok=True)
        file.rename(there)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("throughput", "small", "table"))
    parser.add_argument("--results", type=Path, required=True, help="a file of JSON lines that the runs are added to")
    parser.add_argument("--peers", default="", help="the Python of the environment that holds the peers")
    parser.add_argument("--images", type=int, help=f"by default {THROUGHPUT_IMAGES}, and {SMALL_IMAGES} for the small runs")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    names = f"of {', '.join(engines.THROUGHPUT)}; of {', '.join(engines.SMALL)} for small"
    parser.add_argument("--engines", nargs="+", metavar="ENGINE", help=names)
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS)
    given = parser.parse_args()
    if given.part == "table":
        print(results.table(given.results))
        return
    if unknown := set(given.engines or ()) - set({"throughput": engines.THROUGHPUT, "small": engines.SMALL}[given.part]):
        parser.error(f"--engines {' '.join(sorted(unknown))}: give some {names}")
    given.images = given.images or {"throughput": THROUGHPUT_IMAGES, "small": SMALL_IMAGES}[given.part]
    with tempfile.TemporaryDirectory(prefix="fruitpipe-benchmark-") as folder:
        {"throughput": throughput, "small": small}[given.part](given, Path(folder))


if __name__ == "__main__":
    main()
