"""The results of the comparison: a file of JSON lines, one a run, and the tables that are made of them."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import engines

KINDS = ("cold", "nothing new", "20 new")
ALIKE = ("machine", "code", "images", "photographs")  # what all runs of a part and an engine have in common
Line = dict[str, Any]


def recorded(results: Path) -> list[Line]:
    """The lines of the results so far."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def expect(results: Path, wanted: Line) -> None:
    """Raises SystemExit where the file holds a run of the engine and the kind that was made otherwise than `wanted` says."""
    for line in recorded(results):
        same = all(line.get(key) == wanted.get(key, line.get(key)) for key in ("part", "engine", "kind"))
        for key in ("versions", *ALIKE) if same else ("machine", "code"):
            if line[key] != wanted[key]:
                raise SystemExit(f"error: {results} has {key} {line[key]}, not {wanted[key]}; remove it, or name another")


def has(results: Path, wanted: Line) -> bool:
    """Whether the file holds this run: of this part, engine, round and kind."""
    keys = ("part", "engine", "round", "kind")
    return any(all(line.get(key) == wanted.get(key) for key in keys) for line in recorded(results))


def record(results: Path, line: Line) -> None:
    """Adds a line, and prints it."""
    with results.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps({key: value for key, value in line.items() if key not in ("machine", "code", "photographs")}), flush=True)


def table(results: Path) -> str:
    """Markdown: throughput with ratios to the bound, then the small runs; medians, with the least and the most."""
    lines = recorded(results)
    if not lines:
        raise SystemExit(f"error: {results} holds no runs yet")
    first = lines[0]
    load = _spread([line["load"] for line in lines], 1)
    said = [f"{first['machine']}; {first['photographs']}; code {first['code']}; load average before a run {load}"]
    said += _throughput([line for line in lines if line["part"] == "throughput"])
    return "\n".join(said + _small([line for line in lines if line["part"] == "small"]))


def _throughput(lines: list[Line]) -> list[str]:
    said = ["", "| engine | images | images/s | of the bound | images/s, whole process | rounds | versions |", "|---" * 7 + "|"]
    bounds = {line["round"]: _rate(line, "within") for line in lines if line["engine"] == engines.BOUND.name}
    for engine in dict.fromkeys(line["engine"] for line in lines):
        runs = [line for line in lines if line["engine"] == engine]
        ratios = [_rate(run, "within") / bounds[run["round"]] for run in runs if run["round"] in bounds]
        cells = [
            engine,
            f"{runs[0]['images']:,}",
            _spread([_rate(run, "within") for run in runs]),
            _spread(ratios, 2) if ratios else "",
            _spread([_rate(run, "whole") for run in runs]),
            len(runs),
            runs[0]["versions"],
        ]
        said.append(f"| {' | '.join(map(str, cells))} |")
    return said if lines else []


def _small(lines: list[Line]) -> list[str]:
    said = ["", f"| engine | {' | '.join(KINDS)} | rounds | versions |", "|---" * 6 + "|"]
    for engine in dict.fromkeys(line["engine"] for line in lines):
        runs = [line for line in lines if line["engine"] == engine]
        seconds = [[run["whole"] for run in runs if run["kind"] == kind] for kind in KINDS]
        cells = [f"{_spread(times, 1)} s" if times else "" for times in seconds]
        said.append(f"| {' | '.join([engine, *cells, str(max(map(len, seconds))), runs[0]['versions']])} |")
    return said if lines else []


def _rate(line: Line, which: str) -> float:
    return float(line["images"] / line[which])


def _spread(values: list[float], digits: int = 0) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
