"""The product beside the bound and other engines: the same files, the same columns, one machine.

    python benchmarks/compare.py throughput --peers PYTHON --results FILE     images/s, each engine in turn, some rounds
    python benchmarks/compare.py small --peers PYTHON --results FILE          whole processes: cold, nothing new, 20 new
    python benchmarks/compare.py table --results FILE                         what FILE holds, as Markdown

Each run is a process of its own into an empty folder and adds a line to FILE, so that the comparison can be made in pieces
(`--engines`, `--rounds`). Lines of another machine or of other versions are refused. `make bench` runs all of it.

Two rates: `whole`, the images by the process's time from its start to its end; and `within`, by the time that the engine takes
once it has started: the script's own clock for the peers, and for fruitpipe from the first batch's begin to the last commit.
Where there are fewer photographs than images are asked for, they are repeated under other names.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).parents[1]
sys.path.insert(0, str(CHECKOUT))

from benchmarks.features import PHOTOGRAPHS  # noqa: E402
from fruitpipe.settings import default_model  # noqa: E402

NEW_IMAGES = 20
SLOW_IMAGES = 480  # for an engine at some tens of images/s
SILENT = {  # no engine reports its use while it is measured
    "COCOINDEX_DISABLE_USAGE_TRACKING": "1",
    "DAFT_ANALYTICS_ENABLED": "0",
    "DATACHAIN_NO_ANALYTICS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class Engine(NamedTuple):
    """How an engine is run. packages: what its version is read from, in the peers' environment or in the product's."""

    name: str
    script: str
    packages: tuple[str, ...]
    own: bool = False
    slow: bool = False
    flags: tuple[str, ...] = ()


FRUITPIPE = Engine("fruitpipe", "streaming/ingest.py", ("fruitpipe", "pyspark", "delta-spark", "ai-edge-litert"), own=True)
BOUND = Engine("two-process bound", "benchmarks/bound.py", ("ai-edge-litert",), own=True)
KERAS = ("pyspark", "keras", "tensorflow-cpu")
THROUGHPUT = {
    "bound": BOUND,
    "fruitpipe": FRUITPIPE,
    "daft": Engine("Daft", "benchmarks/with_daft.py", ("daft", "deltalake")),
    "ray": Engine("Ray Data", "benchmarks/with_ray.py", ("ray",)),
    "predict_batch_udf": Engine(
        "Spark predict_batch_udf, Keras", "benchmarks/with_predict_batch_udf.py", KERAS, own=True, slow=True
    ),
    "notebook": Engine("the notebook: Keras a pandas batch", "benchmarks/with_notebook.py", KERAS, own=True, slow=True),
    "one_at_a_time": Engine(
        "the notebook, one at a time", "benchmarks/with_notebook.py", KERAS, own=True, slow=True, flags=("--one-at-a-time",)
    ),
}
SMALL = {
    "fruitpipe": FRUITPIPE,
    "cocoindex": Engine("CocoIndex", "benchmarks/with_cocoindex.py", ("cocoindex",)),
    "datachain": Engine("DataChain", "benchmarks/with_datachain.py", ("datachain",)),
}


class Took(NamedTuple):
    """Seconds of a run: the whole process, and the engine's own."""

    whole: float
    within: float


def pictures(folder: Path, count: int, photographs: Path) -> Path:
    """A folder of `count` images in folders of their labels: the photographs, repeated under other names where they are fewer."""
    sources = sorted(photographs.glob("*/*.jpg"))
    if not sources:
        raise SystemExit(f"error: {photographs} holds no photographs (*/*.jpg); name a folder that does with --photographs")
    for number in range(count):
        source = sources[number % len(sources)]
        target = folder / source.parent.name / f"{number // len(sources)}-{source.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return folder


def run(engine: Engine, images: Path, out: Path, peers: str) -> Took:
    """One process to its end. Raises CalledProcessError where it fails."""
    python = sys.executable if engine.own else peers
    given = ["--images", images, "--root", out, "--once"] if engine is FRUITPIPE else [images, out, "--model", default_model()]
    environment = os.environ | SILENT | {"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"}
    command = [python, str(CHECKOUT / engine.script), *map(str, given), *engine.flags]
    with tempfile.TemporaryFile("w+") as noise:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=noise, text=True, env=environment, cwd=CHECKOUT)
        assert process.stdout is not None
        lines = [(time.monotonic(), line) for line in process.stdout]
        code = process.wait()
        whole = time.monotonic() - began
        if code:
            noise.seek(0)
            raise subprocess.CalledProcessError(code, command, stderr=noise.read()[-2_000:])
    return Took(whole, _batches(lines, whole) if engine is FRUITPIPE else _reported(lines))


def _reported(lines: list[tuple[float, str]]) -> float:
    """What the script's own clock says; `within` of the bound before `seconds`, which holds the loading of its model."""
    said: dict[str, float] = {}
    for _, line in lines:
        if line.startswith("{"):
            said |= json.loads(line)
    return said.get("within", said["seconds"])


def _batches(lines: list[tuple[float, str]], whole: float) -> float:
    """From the first batch's begin to the last commit, by the moments at which their lines came."""
    commits = [(moment, re.search(r"^batch .* in ([\d.]+) s", line)) for moment, line in lines]
    found = [(moment, float(match[1])) for moment, match in commits if match]
    if not found:
        return whole
    return found[-1][0] - (found[0][0] - found[0][1])


def versions(engine: Engine, peers: str) -> str:
    """The packages of an engine with their versions, as the environment that runs it has them."""
    if engine.own:
        return ", ".join(f"{package} {version(package)}" for package in engine.packages)
    code = "import sys; from importlib.metadata import version; print(', '.join(p + ' ' + version(p) for p in sys.argv[1:]))"
    return subprocess.run([peers, "-c", code, *engine.packages], capture_output=True, text=True, check=True).stdout.strip()


def machine() -> str:
    """The processor, its cores and the Python."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{found[1] if found else platform.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def record(results: Path, **line: Any) -> None:
    """Adds a line to the results, and prints it. Raises SystemExit where the file is of another machine or other versions."""
    line |= {"machine": machine()}
    for old in recorded(results):
        if old["machine"] != line["machine"] or (old["engine"] == line["engine"] and old["versions"] != line["versions"]):
            raise SystemExit(f"error: {results} was made on another machine or with other versions; name another with --results")
    with results.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps({key: value for key, value in line.items() if key != "machine"}), flush=True)


def recorded(results: Path) -> list[dict[str, Any]]:
    """The lines of the results so far."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def throughput(given: argparse.Namespace, folder: Path) -> None:
    """The engines in turn, `rounds` times, so that a busy moment of the machine meets all."""
    counts = {slow: min(given.images, SLOW_IMAGES) if slow else given.images for slow in (True, False)}
    folders = {slow: pictures(folder / f"images-{count}", count, given.photographs) for slow, count in counts.items()}
    for _ in range(given.rounds):
        for name in given.engines or THROUGHPUT:
            engine, out = THROUGHPUT[name], folder / "out"
            load = os.getloadavg()[0]
            took = run(engine, folders[engine.slow], out, given.peers)
            shutil.rmtree(out, ignore_errors=True)
            record(
                given.results, part="throughput", engine=engine.name, versions=versions(engine, given.peers),
                images=counts[engine.slow], whole=took.whole, within=took.within, load=load,
            )  # fmt: skip


def small(given: argparse.Namespace, folder: Path) -> None:
    """Cold, nothing new, 20 new; each engine in its own folder, `rounds` times."""
    for round_ in range(given.rounds):
        for name in given.engines or SMALL:
            engine, out, images = SMALL[name], folder / f"out-{name}-{round_}", folder / f"images-{name}-{round_}"
            new = pictures(folder / f"new-{name}-{round_}", given.images, given.photographs)
            held = sorted(new.glob("*/*.jpg"))[: given.images : max(given.images // NEW_IMAGES, 1)][:NEW_IMAGES]
            move(sorted(set(new.glob("*/*.jpg")) - set(held)), new, images)
            for kind in ("cold", "nothing new", "20 new"):
                if kind == "20 new":
                    move(held, new, images)
                took = run(engine, images, out, given.peers)
                record(
                    given.results, part="small", engine=engine.name, versions=versions(engine, given.peers), kind=kind,
                    images=given.images, whole=took.whole, load=os.getloadavg()[0],
                )  # fmt: skip


def move(files: list[Path], source: Path, target: Path) -> None:
    """Moves files of `source` to the same places under `target`."""
    for file in files:
        there = target / file.relative_to(source)
        there.parent.mkdir(parents=True, exist_ok=True)
        file.rename(there)


def table(results: Path) -> str:
    """Markdown: throughput with ratios to the bound, then the small runs; medians, with the least and the most."""
    lines = recorded(results)
    rates = {line["engine"]: [] for line in lines if line["part"] == "throughput"}  # type: dict[str, list[dict[str, Any]]]
    for line in lines:
        if line["part"] == "throughput":
            rates[line["engine"]].append(line)
    said = [
        f"{lines[0]['machine']}",
        "",
        "| engine | images | images/s within | of the bound | images/s whole | runs | versions |",
        "|---|---|---|---|---|---|---|",
    ]
    bound = median(_rate(line, "within") for line in rates[BOUND.name]) if BOUND.name in rates else float("nan")
    for engine, runs in rates.items():
        within = [_rate(run, "within") for run in runs]
        whole = [_rate(run, "whole") for run in runs]
        images = sorted({run["images"] for run in runs})
        said.append(
            f"| {engine} | {', '.join(f'{count:,}' for count in images)} | {_spread(within)} | {median(within) / bound:.2f} "
            f"| {_spread(whole)} | {len(runs)} | {runs[0]['versions']} |"
        )
    said += ["", "| engine | " + " | ".join(KINDS) + " | runs | versions |", "|---|" + "---|" * (len(KINDS) + 2)]
    for engine in dict.fromkeys(line["engine"] for line in lines if line["part"] == "small"):
        runs = [line for line in lines if line["part"] == "small" and line["engine"] == engine]
        seconds = [[run["whole"] for run in runs if run["kind"] == kind] for kind in KINDS]
        cells = " | ".join(f"{_spread(times, 1)} s" if times else "" for times in seconds)
        said.append(f"| {engine} | {cells} | {len(seconds[0])} | {runs[0]['versions']} |")
    return "\n".join(said)


KINDS = ("cold", "nothing new", "20 new")


def _rate(line: dict[str, Any], which: str) -> float:
    return float(line["images"] / line[which])


def _spread(values: list[float], digits: int = 0) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("throughput", "small", "table"))
    parser.add_argument("--results", type=Path, required=True, help="a file of JSON lines that the runs are added to")
    parser.add_argument("--peers", default="", help="the Python of the environment that holds the peers")
    parser.add_argument("--images", type=int, default=2_016, help="the full figures: 20000 (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", help=f"of {', '.join(THROUGHPUT)}; of {', '.join(SMALL)} for small")
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS)
    given = parser.parse_args()
    if given.part == "table":
        print(table(given.results))
        return
    with tempfile.TemporaryDirectory(prefix="fruitpipe-benchmark-") as folder:
        {"throughput": throughput, "small": small}[given.part](given, Path(folder))


if __name__ == "__main__":
    main()
