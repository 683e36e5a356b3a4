"""Makes a root with each pair of Spark and Delta, goes on with it on every other, and goes back: the table of docs/operations.md.

    python tests/soak/upgrades.py [spark-4.0=PATH/TO/python ...] [--work FOLDER]

A lane's Python is that of the environment which `make test LANE=…` makes, unless another is given. Going on is an ingest of more
images, a refit of what changed, a compaction, an erasure and the status; back is an ingest, a refit and the status.
Ends with 1 where a step fails, reads more than what changed, comes to other numbers, or changes the table's protocol or its
properties.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))  # the tests are no installed package

from fruitpipe.runtime import lanes  # noqa: E402

LABELS = 2
BEGUN, MORE, EVEN_MORE = 14, 17, 18  # pictures of each label, after the root's begin, going on and going back
COMPONENTS = 3
PROTOCOL = ("min_reader_version", "min_writer_version", "reader_features", "writer_features")
Facts = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pythons", nargs="*", metavar="LANE=PYTHON")
    parser.add_argument("--work", type=Path, help="an empty folder (default: a temporary one)")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--cells", nargs="*", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        for cell in given.cells:
            taken(STEPS[given.step], cell, cell / f"{given.step}.json")
        return 0
    pythons = dict(one.split("=", 1) for one in given.pythons) or {name: environment(name) for name in lanes.LANES}
    with tempfile.TemporaryDirectory(prefix="fruitpipe-upgrades-") as folder:
        return travel(pythons, given.work or Path(folder))


def environment(lane: str) -> str:
    return str(CHECKOUT / (".venv" if lane == lanes.DEFAULT else f".venv-{lane}") / "bin" / "python")


def travel(pythons: dict[str, str], work: Path) -> int:
    """Takes every root its way, one process for all that a lane does at a time, and prints what became of each."""
    for lane, python in pythons.items():
        run(python, "begin", [work / f"{lane}-to-{other}" for other in pythons])
    for lane, python in pythons.items():
        run(python, "go_on", [work / f"{other}-to-{lane}" for other in pythons])
    for lane, python in pythons.items():
        run(python, "go_back", [work / f"{lane}-to-{other}" for other in pythons])
    cells = {(one, other): work / f"{one}-to-{other}" for one in pythons for other in pythons}
    found = [result(cell, "go_back") for cell in cells.values()]
    wanted = {"rows": LABELS * EVEN_MORE, "k": COMPONENTS, "variance": found[0].get("variance")}
    outcomes = {way: outcome(cell, wanted) for way, cell in cells.items()}
    print("\n".join([*matrix(outcomes, list(pythons)), f"at the end: {wanted}"]))
    return int(any(outcome != "same" for outcome in outcomes.values()))


def run(python: str, step: str, cells: list[Path]) -> None:
    """One step of several roots, in a process of a lane's own; what it says goes to the cells' folders."""
    command = [python, __file__, "--step", step, "--cells", *map(str, cells)]
    print(f"{step}: {', '.join(cell.name for cell in cells)}", flush=True)
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if ended.returncode:
        print(f"{step} ended with {ended.returncode}: {ended.stderr.strip().splitlines()[-1:]}", flush=True)


def taken(step: Callable[[Path], Facts], cell: Path, to: Path) -> None:
    """Writes what a step came to, or the error with which it ended, and goes on with the next root."""
    try:
        facts = step(cell)
    except Exception as error:  # noqa: BLE001 - the table says it
        facts = {"error": f"{step.__name__}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"}
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps(facts))


def result(cell: Path, step: str) -> Facts:
    try:
        return dict(json.loads((cell / f"{step}.json").read_text()))
    except FileNotFoundError:
        return {"error": f"{step} did not end"}


def outcome(cell: Path, wanted: Facts) -> str:
    """`same`, or what is another."""
    begun, gone_on, back = (result(cell, step) for step in STEPS)
    if errors := [facts["error"] for facts in (begun, gone_on, back) if "error" in facts]:
        return str(errors[0])
    changed = [f"{key} changed" for key in ("protocol", "properties") if not begun[key] == gone_on[key] == back[key]]
    return ", ".join(changed + [f"{key} {back[key]}" for key, value in wanted.items() if back[key] != value]) or "same"


def matrix(cells: dict[tuple[str, str], str], names: list[str]) -> list[str]:
    lines = ["| made on, continued on | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    return lines + [f"| {one} | " + " | ".join(cells[one, other] for other in names) + " |" for one in names]


def begin(cell: Path) -> Facts:
    ingested(cell, BEGUN - 2, LABELS * (BEGUN - 2))
    ingested(cell, BEGUN, LABELS * 2)
    refitted(cell, "there is no earlier version")
    return facts_of(cell)


def go_on(cell: Path) -> Facts:
    from fruitpipe import objects
    from fruitpipe.runtime import session
    from fruitpipe.table import upkeep

    ingested(cell, MORE, LABELS * (MORE - BEGUN))
    refitted(cell, f"{LABELS * (MORE - BEGUN)} rows added and 0 taken out", f"{LABELS * BEGUN} not read again")
    packed = upkeep.compact(session.open("upgrades"), root(cell), 1_000_000)
    check(packed.number > 1, f"{packed.number} files packed")
    image = next((cell / "images").rglob("0000.jpg"))
    command("erase", "--root", root(cell), objects.canonical(str(image)))
    said = ingest(cell, erasure_grace_hours=0)
    check("no trace found" in said, said)
    stated(cell, LABELS * MORE - 1)
    refitted(cell, f": {LABELS * MORE - 1} rows")
    return facts_of(cell)


def go_back(cell: Path) -> Facts:
    ingested(cell, EVEN_MORE, added := LABELS * (EVEN_MORE - MORE) + 1)  # the erased one is drawn anew, and so put back
    refitted(cell, f"{added} rows added and 0 taken out", f"{LABELS * MORE - 1} not read again")
    stated(cell, LABELS * EVEN_MORE)
    return facts_of(cell)


STEPS = {"begin": begin, "go_on": go_on, "go_back": go_back}


def root(cell: Path) -> str:
    return str(cell / "root")


def ingest(cell: Path, **settings: Any) -> str:
    from fruitpipe.jobs.ingest import ingest as job
    from fruitpipe.settings import IngestSettings

    given = settings | {"images": str(cell / "images"), "root": root(cell), "once": True, "images_without_spark": 0}
    return heard(lambda: job(IngestSettings(**given)))


def ingested(cell: Path, images_per_label: int, new: int) -> None:
    from fruitpipe.pictures.drawn import draw

    draw(cell / "images", LABELS, images_per_label)
    said = ingest(cell)
    check(f"ingest: {new} images featurised, 0 failed" in said, said)


def refitted(cell: Path, *how: str) -> None:
    from fruitpipe.jobs.refit import refit
    from fruitpipe.settings import RefitSettings

    said = heard(lambda: refit(RefitSettings(root=root(cell), components=COMPONENTS, report=False)))
    check(all(part in said for part in how), said)


def stated(cell: Path, images: int) -> None:
    said = command("status", "--root", root(cell))
    check(re.search(rf"^images +{images}:", said, re.MULTILINE) is not None, said)


def command(*arguments: str) -> str:
    from fruitpipe import cli

    def ended() -> None:
        with contextlib.suppress(SystemExit):
            cli.main(list(arguments))

    return heard(ended)


def heard(job: Callable[[], object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        job()
    return said.getvalue()


def check(holds: bool, said: str) -> None:
    if not holds:
        raise AssertionError(re.sub(r"\s+", " ", said))


def facts_of(cell: Path) -> Facts:
    """What must not depend on the way."""
    from deltalake import DeltaTable

    from fruitpipe.refit import publication, version_model
    from fruitpipe.table.snapshot import Snapshot

    table, protocol = Snapshot(root(cell)), DeltaTable(f"{root(cell)}/features").protocol()
    model = version_model.load_model(root(cell), publication.current(root(cell)))
    return {
        "protocol": [getattr(protocol, name) for name in PROTOCOL],
        "properties": {key: value for key, value in table.configuration.items() if key.startswith("delta.")},
        "rows": model.facts["rows"],
        "k": model.reduction.k,
        "variance": round(model.facts["variance_kept"], 9),
    }


if __name__ == "__main__":
    sys.exit(main())
