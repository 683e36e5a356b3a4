"""Prints `fruitpipe status` and `fruitpipe errors`: for people on a terminal, for programs as JSON or tab-separated lines."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fruitpipe.operations import failed_images
from fruitpipe.output import plain, quoted, say, say_cells, to_json
from fruitpipe.pictures import look_alikes, variants

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fruitpipe.operations.failed_images import ErrorRow
    from fruitpipe.operations.status import LastBatch, Status, Version

NAMED = 8  # labels that are named one by one
NEWEST = 8  # versions that are listed
NO_NAME = '""'  # an empty label
UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def show(status: Status, *, as_json: bool = False) -> None:
    """Prints a status once."""
    if as_json:
        say(*status.to_json().split("\n"))
    else:
        _print(_console(), rendered(status))


def watch(look: Callable[[], Status], seconds: float, *, as_json: bool = False) -> None:
    """Prints a status every `seconds` until Ctrl-C: in place on a terminal, else one after the other (JSON: one a line)."""
    console = _console()
    try:
        if as_json:
            _repeat(lambda: say(to_json(json.loads(look().to_json()))), seconds)
        elif console.is_terminal:
            with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
                _repeat(lambda: live.update(rendered(look()), refresh=True), seconds)
        else:
            _repeat(lambda: _print(console, rendered(look())), seconds)
    except KeyboardInterrupt:
        return


def show_errors(rows: Sequence[ErrorRow], *, as_json: bool = False) -> None:
    """Prints the rows: a table on a terminal, else path, label, reason and message, tab-separated, a line a row."""
    console = _console()
    if as_json:
        say(*(to_json(failed_images.to_dict(row)) for row in rows))
    elif not console.is_terminal:
        for row in rows:
            say_cells(row.path, row.label, row.error, row.error_message)
    else:
        console.print(_errors_table(rows) if rows else Text("no image failed", "green"))


def rendered(status: Status) -> Group:
    """A status as a block of at most 100 columns."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for name, text in _facts(status):
        grid.add_row(name, text)
    parts: list[Any] = [Text(plain(status.root), "bold cyan"), grid]
    return Group(*parts, _versions(status.versions)) if status.versions else Group(*parts)


def _facts(status: Status) -> list[tuple[str, Text]]:
    failed = Text(f"{status.failed:,} failed", "yellow" if status.failed else "")
    return [
        ("images", Text(f"{status.images:,}: {status.featurised:,} featurised, ") + failed),
        ("labels", Text(_named(status.labels))),
        *([("look alike", Text(plain(alike), "yellow"))] if (alike := look_alikes.listed(status.labels)) else []),
        ("errors", Text(_named(status.errors) if status.errors else "none")),
        ("last batch", Text(_last_batch(status.last_batch))),
        ("extractor", Text(_named(_by_fingerprint(status.extractors)) or "none")),
        ("storage", Text(_storage(status.storage_bytes))),
        ("published", Text(_published(status))),
        *(("damaged", Text(plain(fault), "red")) for fault in status.damaged),
        ("report", Text(plain(next((one.report for one in status.versions if one.current and one.report), "none")))),
    ]


def _published(status: Status) -> str:
    if status.current is None:
        return plain(f"nothing yet; run fruitpipe refit --root {status.root}")
    behind = f"{status.not_in_current:,} images are newer" if status.not_in_current else "it has all images"
    since = (status.held_since or "")[:16].replace("T", " ")
    held = f"; held since {since} UTC, until fruitpipe release --root {status.root}" if since else ""
    return plain(f"{status.current} of {len(status.versions)}; {behind}{held}")


def _last_batch(batch: LastBatch | None) -> str:
    if batch is None:
        return "none yet"
    did = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(batch.outcomes.items()))
    age = f"{did or f'{batch.images:,} images'}, {duration(batch.age_seconds)} ago"
    if batch.median_lag_seconds is None or batch.largest_lag_seconds is None:
        return age
    return f"{age}; from upload to row {duration(batch.median_lag_seconds)}, at most {duration(batch.largest_lag_seconds)}"


def _storage(sizes: dict[str, int]) -> str:
    parts = ", ".join(f"{folder} {size(count)}" for folder, count in sizes.items() if count)
    return f"{size(sum(sizes.values()))}: {parts}"


def _named(counts: dict[str, int]) -> str:
    """``12: Kiwi 40, Lemon 38, …``: how many there are, and the most frequent by name."""
    named = ", ".join(f"{quoted(name) or NO_NAME} {count:,}" for name, count in list(counts.items())[:NAMED])
    more = f", and {len(counts) - NAMED} more" if len(counts) > NAMED else ""
    return f"{len(counts)}: {named}{more}" if counts else ""


def _by_fingerprint(extractors: dict[str, int]) -> dict[str, int]:
    """Images by fingerprint, whatever their variants: those are computed alike, and one table may hold them all."""
    images: Counter[str] = Counter()
    for extractor, count in extractors.items():
        images[variants.fingerprint_of(extractor)] += count
    return dict(images.most_common())


def _versions(versions: Sequence[Version]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for column, justify in (("version", "left"), ("k", "right"), ("variance", "right"), ("rows", "right"), ("published", "left")):
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for version in reversed(versions[-NEWEST:]):
        at = datetime.fromisoformat(version.created_at).astimezone(UTC)
        cells = (f"{version.k}", f"{100 * version.variance_kept:.2f} %", f"{version.rows:,}", f"{at:%Y-%m-%d %H:%M} UTC")
        marked = f"{version.version} ← current" if version.current else version.version
        table.add_row(marked, *cells, style="green" if version.current else "")
    return table


def _errors_table(rows: Sequence[ErrorRow]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold", title=f"{len(rows):,} images failed", title_justify="left")
    table.add_column("reason", style="yellow", no_wrap=True)
    table.add_column("label")
    table.add_column("image", overflow="fold")
    table.add_column("message", overflow="fold")
    for row in rows:
        table.add_row(*(Text(quoted(text)) for text in (row.error, row.label, row.path, row.error_message)))
    return table


def duration(seconds: float) -> str:
    """``90`` → ``1 min 30 s``: in the two largest units."""
    left = round(seconds) if seconds >= UNITS[-1][0] else seconds
    for large, name in UNITS:
        if left >= large:
            whole, rest = divmod(left, large)
            smaller = next(((unit, symbol) for unit, symbol in (*UNITS, (1, "s")) if unit < large))
            return f"{whole:.0f} {name} {rest // smaller[0]:.0f} {smaller[1]}"
    return f"{left:.1f} s"


def size(count: float) -> str:
    """``1234567`` → ``1.2 MB``, in powers of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - what the units are powers of
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _repeat(work: Callable[[], object], seconds: float) -> None:
    while True:
        work()
        time.sleep(seconds)


def _print(console: Console, block: Group) -> None:
    """Prints a block; without a terminal no line ends in the blanks that fill its column."""
    if console.is_terminal:
        console.print(block)
        return
    with console.capture() as captured:
        console.print(block)
    say(*(line.rstrip() for line in captured.get().removesuffix("\n").split("\n")))


def _console() -> Console:
    """Without a terminal nothing is wrapped: a program reads lines."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=1000)
