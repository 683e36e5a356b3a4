"""The engines of the comparison: how each is run, what its version is, and where its rows are."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from benchmarks import engine, written
from fruitpipe.settings import default_model

CHECKOUT = Path(__file__).parents[1]
SILENT = {  # no engine reports its use while it is measured
    "COCOINDEX_DISABLE_USAGE_TRACKING": "1",
    "DAFT_ANALYTICS_ENABLED": "0",
    "DATACHAIN_NO_ANALYTICS": "1",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
# What the figures depend on: with other code a results file begins anew.
CODE = ("fruitpipe/**/*.py", *(f"benchmarks/{name}.py" for name in ("with_*", "*bound", "*engine*", "keras_*")))


class Engine(NamedTuple):
    """How an engine is run. packages: what its version is read from, in the peers' environment or in the product's.

    one_in: it is given one in so many of the images, such that a slow engine's run takes about as long as the others'.
    environment: what it finds there beside all else. least_cosine: between its vectors and the product's, where it decodes with a
    decoder of its own; elsewhere both are equal. python, checkout: of an earlier build, what runs it and where its files lie.
    """

    name: str
    script: str
    packages: tuple[str, ...]
    rows: Callable[[Path], written.Rows] | None
    own: bool = False
    one_in: int = 1
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = MappingProxyType({})
    least_cosine: float | None = None
    python: str = ""
    checkout: Path | None = None

    @property
    def is_in_full(self) -> bool:
        """Whether it decodes large JPEGs in full."""
        return self.environment.get("FRUITPIPE_DECODE") == "full"


class Took(NamedTuple):
    """Seconds of a run: the whole process, and from the moment when the engine was up to its last row."""

    whole: float
    within: float | None


OURS = ("fruitpipe", "pyspark", "delta-spark", "ai-edge-litert")
KERAS = ("pyspark", "keras", "tensorflow-cpu")
JOB = Engine("fruitpipe", "streaming/ingest.py", OURS, written.features_table, own=True)
BOUND = Engine("two-process bound", "benchmarks/bound.py", ("ai-edge-litert",), None, own=True)
THROUGHPUT = {
    "bound": BOUND,
    "fruitpipe": Engine("fruitpipe", "benchmarks/with_fruitpipe.py", OURS, written.features_table, own=True),
    "daft": Engine("Daft", "benchmarks/with_daft.py", ("daft", "deltalake"), written.delta),
    "ray": Engine("Ray Data", "benchmarks/with_ray.py", ("ray",), written.parquet),
    "predict_batch_udf": Engine(
        "Spark predict_batch_udf, Keras", "benchmarks/with_predict_batch_udf.py", KERAS, written.parquet, own=True, one_in=8
    ),
    "notebook": Engine(
        "the notebook: Keras a pandas batch", "benchmarks/with_notebook.py", KERAS, written.parquet, own=True, one_in=8
    ),
    "one_at_a_time": Engine(
        "the notebook, one at a time",
        "benchmarks/with_notebook.py",
        KERAS,
        written.parquet,
        own=True,
        one_in=32,
        flags=("--one-at-a-time",),
    ),
}
SMALL = {
    "fruitpipe": JOB,
    "cocoindex": Engine("CocoIndex", "benchmarks/with_cocoindex.py", ("cocoindex",), written.cocoindex),
    "datachain": Engine("DataChain", "benchmarks/with_datachain.py", ("datachain",), written.datachain),
}


def run(of: Engine, images: Path, out: Path, peers: str) -> Took:
    """Runs one process to its end. Raises CalledProcessError where it fails, ValueError where its rows are wrong."""
    took = _timed(_command(of, images, out, peers), of.checkout or CHECKOUT, of.environment)
    wrong = of.rows and written.fault(of.rows(out), images, is_in_full=of.is_in_full, least_cosine=of.least_cosine)
    if wrong:
        raise ValueError(f"{of.name}: {wrong}")
    return took


def _command(of: Engine, images: Path, out: Path, peers: str) -> list[str]:
    job = ["--images", str(images), "--root", str(out), "--once"]
    script = [str(images), str(out), "--model", default_model(), *of.flags]
    return [_python(of, peers), str((of.checkout or CHECKOUT) / of.script), *(job if of is JOB else script)]


def _python(of: Engine, peers: str) -> str:
    return of.python or (sys.executable if of.own else peers)


def _timed(command: list[str], checkout: Path, more: Mapping[str, str]) -> Took:
    environment = os.environ | SILENT | {"PYTHONPATH": str(checkout), "PYTHONUNBUFFERED": "1", **more}
    moments: dict[str, float] = {}
    with tempfile.TemporaryFile("w+") as noise:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=noise, text=True, env=environment, cwd=checkout)
        assert process.stdout is not None
        for line in process.stdout:
            if moment := engine.moment(line):
                moments[moment] = time.monotonic()
        code = process.wait()
        whole = time.monotonic() - began
        if code:
            noise.seek(0)
            raise subprocess.CalledProcessError(code, command, stderr=noise.read()[-2_000:])
    return Took(whole, moments[engine.DONE] - moments[engine.UP] if engine.DONE in moments else None)


def versions(of: Engine, peers: str) -> str:
    """The packages of an engine with their versions, as the environment that runs it has them."""
    if of.own and not of.python:
        return ", ".join(f"{package} {version(package)}" for package in of.packages)
    code = "import sys; from importlib.metadata import version; print(', '.join(p + ' ' + version(p) for p in sys.argv[1:]))"
    command = [_python(of, peers), "-c", code, *of.packages]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> str:
    """The processor, its cores and the Python."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{found[1] if found else platform.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def code() -> str:
    """12 hexadecimal digits of the code that is measured."""
    files = sorted({file for pattern in CODE for file in CHECKOUT.glob(pattern)})
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
