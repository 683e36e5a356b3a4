"""A table of every bad and odd picture: what it gave, how near its vector is to what a person sees, the worker's peak memory.

    python tests/soak/odd_pictures.py

One worker process featurises them all, one after the other, and would be found missing if one of them took it down; then one
run of the stream takes them together. Linux: the peak is set back before each picture by /proc/self/clear_refs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))  # tests/ is not installed

from fruitpipe.extractor import arrow_schema, featurise  # noqa: E402
from fruitpipe.extractor.inference import ModelFile, fingerprint, network_for  # noqa: E402
from fruitpipe.jobs.ingest import ingest  # noqa: E402
from fruitpipe.pictures.decoding import decode  # noqa: E402
from fruitpipe.runtime import session  # noqa: E402
from fruitpipe.settings import IngestSettings, default_model  # noqa: E402
from fruitpipe.table import delta  # noqa: E402
from tests.odd_pictures import MAX_IMAGE_BYTES, OddPicture, encoded, pictures_by_name  # noqa: E402
from tests.pictures import put  # noqa: E402

CODES = {
    "empty",
    "too-large",
    "too-many-pixels",
    "not-an-image",
    "unsupported-format",
    "truncated",
    "too-slow",
    "decoder-error",
    "crashes-decoder",
    "unreadable",
}
LOWEST_COSINE = 0.98


def worker() -> None:
    """Featurises each path that a line of stdin names and answers with a line of JSON."""
    model = ModelFile.load(default_model())
    featuriser = featurise.Featuriser(SimpleNamespace(value=model), fingerprint(model), MAX_IMAGE_BYTES)
    for line in sys.stdin:
        Path("/proc/self/clear_refs").write_text("5")
        references = pa.RecordBatch.from_pylist([{"path": line.strip()}], arrow_schema.REFERENCES)
        (row,) = next(iter(featuriser([references]))).to_pylist()
        peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
        answer = {key: row[key] for key in ("error", "error_message", "width", "height", "features")} | {"peak_megabytes": peak}
        print(json.dumps(answer), flush=True)


def ask(process: subprocess.Popen[str], path: str) -> dict[str, Any]:
    assert process.stdin
    assert process.stdout
    print(path, file=process.stdin, flush=True)
    line = process.stdout.readline()
    assert line, f"{path} took the worker down"
    answer: dict[str, Any] = json.loads(line)
    return answer


def cosine_to_what_is_seen(picture: OddPicture, features: list[float]) -> float:
    """Between the vector that was made and that of the plain twin, saved without loss."""
    seen = network_for(ModelFile.load(default_model()))(decode(encoded(picture.seen())).pixels).astype(np.float64)
    made = np.array(features)
    return float(made @ seen / np.linalg.norm(made) / np.linalg.norm(seen))


def write_all(folder: Path, *, large: bool) -> dict[str, OddPicture]:
    """Draws them into a folder, with or without those that take long."""
    chosen = {name: picture for name, picture in pictures_by_name().items() if large or not picture.large}
    for name, picture in chosen.items():
        put(folder / "Odd" / name, picture.body())
    return chosen


def check(name: str, picture: OddPicture, answer: dict[str, Any]) -> str:
    """What it gave, for the table. Raises AssertionError where that is not what was due."""
    assert answer["error"] in CODES | {None}, f"{name}: {answer['error']} is no reason code"
    assert answer["error"] == picture.reason, f"{name}: {answer['error']} ({answer['error_message']}), not {picture.reason}"
    if picture.reason:
        return f"{answer['error']}: {answer['error_message']}"
    cosine = cosine_to_what_is_seen(picture, answer["features"])
    assert cosine >= LOWEST_COSINE, f"{name}: cosine {cosine:.4f} to what is seen"
    return f"features of {answer['width']} x {answer['height']} px, cosine {cosine:.4f} to what a person sees"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="fruitpipe-soak-") as name:
        folder = Path(name)
        chosen = write_all(folder / "images", large=True)
        command = [sys.executable, __file__, "--worker"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            print("| picture | bytes | gave | worker's peak, MB |\n|---|---|---|---|")
            for file, picture in chosen.items():
                path = folder / "images" / "Odd" / file
                answer = ask(process, f"file://{path}")
                print(
                    f"| {file} | {path.stat().st_size} | {check(file, picture, answer)} | {answer['peak_megabytes']} |",
                    flush=True,
                )
            assert process.stdin
            process.stdin.close()
        through_the_stream(folder, chosen)


def through_the_stream(folder: Path, chosen: dict[str, OddPicture]) -> None:
    """All of them in one run of the stream, and 40 large ones in one batch."""
    body = encoded(pictures_by_name()["4000x3000.jpg"].seen().resize((4000, 3000)), "JPEG")
    for number in range(40):
        put(folder / "images" / "Large" / f"{number}.jpg", body)
    ingest(IngestSettings(images=str(folder / "images"), root=str(folder / "root"), once=True))
    rows = delta.rows(session.open("fruitpipe soak"), f"file://{folder}/root").select("path", "error").collect()
    found = {Path(row["path"]).name: row["error"] for row in rows if "/Odd/" in row["path"]}
    assert found == {name: picture.reason for name, picture in chosen.items()}
    assert sum("/Large/" in row["path"] and row["error"] is None for row in rows) == 40
    print(f"the stream made {len(rows)} rows of them in one run, the same ones, and ended by itself")


if __name__ == "__main__":
    worker() if "--worker" in sys.argv else main()
