"""What status and errors print, from values that are known beforehand."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from fruitpipe.operations import terminal
from fruitpipe.operations.failed_images import ErrorRow, to_csv
from fruitpipe.operations.status import LastBatch, Status, Version
from fruitpipe.output import quoted, unquoted

STATUS = Status(
    root="file:///fruit",
    at="2026-11-05T10:00:00+00:00",
    features_version=7,
    images=2016,
    featurised=2014,
    failed=2,
    not_in_current=14,
    labels={f"Label {number}": 200 - number for number in range(10)},
    errors={"truncated": 2},
    extractors={"5f18": 2000, "5f18-scaled-2": 14, "77aa": 2},
    last_batch=LastBatch("2026-11-05T09:58:30+00:00", 90.0, 14, {"gone": 11, "failed": 1, "unchanged": 2}, 1.25, 7300.0),
    current="v000001",
    held_since=None,
    versions=[
        Version("v000001", True, 330, 0.9, 2000, "2026-11-04T10:00:00+00:00", "file:///fruit/reports/v000001.html"),
        Version("v000002", False, 542, 0.95, 2000, "2026-11-04T11:00:00+02:00", None),
    ],
    storage_bytes={"features": 10_500_000, "models": 900},
    damaged=[],
)
ROW = ErrorRow("s3://b/Kiwi/a,b.jpg", "Kiwi", "truncated", 'no "end"', 12, datetime(2026, 11, 5, 10, tzinfo=UTC))


def printed(renderable, width=120):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(renderable)
    return " ".join(console.file.getvalue().split())


def test_status_tells_what_is_there_what_came_last_and_what_is_published():
    said = printed(terminal.rendered(STATUS))
    for fact in (
        "2,016: 2,014 featurised, 2 failed",
        "10: Label 0 200, Label 1 199",
        "Label 7 193, and 2 more",
        "1: truncated 2",
        "1 failed, 11 gone, 2 unchanged, 1 min 30 s ago; from upload to row 1.2 s, at most 2 h 1 min",
        "10.5 MB: features 10.5 MB, models 900 bytes",
        "extractor 2: 5f18 2,014, 77aa 2",
        "v000001 of 2; 14 images are newer",
        "report file:///fruit/reports/v000001.html",
        "v000002 542 95.00 % 2,000 2026-11-04 09:00 UTC",
        "v000001 ← current 330 90.00 % 2,000 2026-11-04 10:00 UTC",
    ):
        assert fact in said


def test_status_says_since_when_a_rollback_holds():
    held = replace(STATUS, held_since="2026-11-05T09:41:12.5+00:00")
    said = printed(terminal.rendered(held))
    assert "14 images are newer; held since 2026-11-05 09:41 UTC, until fruitpipe release" in said


def test_no_line_of_the_status_is_cut_on_a_narrow_terminal():
    assert "from upload to row 1.2 s, at most 2 h 1 min" in printed(terminal.rendered(STATUS), width=60)


def test_json_has_every_fact(capsys):
    terminal.show(STATUS, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["last_batch"]["median_lag_seconds"] == 1.25
    assert told["versions"][1] == STATUS.versions[1].__dict__
    assert set(told) == set(Status.__dataclass_fields__)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.25, "0.2 s"), (59.4, "59.4 s"), (59.9, "59.9 s"), (60, "1 min 0 s"), (3599.7, "1 h 0 min"), (90000, "1 d 1 h")],
)
def test_durations_are_in_the_two_largest_units(seconds, said):
    assert terminal.duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 bytes"), (999, "999 bytes"), (1234, "1.2 kB"), (15_800_000, "15.8 MB"), (2e12, "2.0 TB")]
)
def test_sizes_are_in_powers_of_a_thousand(count, said):
    assert terminal.size(count) == said


def test_errors_are_lines_with_tabs_where_no_person_reads_them(capsys):
    terminal.show_errors([ROW])
    assert capsys.readouterr().out == 's3://b/Kiwi/a,b.jpg\tKiwi\ttruncated\tno "end"\n'


def test_errors_in_json_are_one_object_a_line(capsys):
    terminal.show_errors([ROW, ROW], as_json=True)
    first, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == ROW._asdict() | {"ingested_at": "2026-11-05T10:00:00+00:00"}


def test_the_csv_quotes_every_text():
    header, line = to_csv([ROW]).decode().splitlines()
    assert header == '"path","label","error","error_message","length","ingested_at"'
    assert line == '"s3://b/Kiwi/a,b.jpg","Kiwi","truncated","no ""end""",12,"2026-11-05T10:00:00+00:00"'


HOSTILE = ["s3://b/[/]photo [copy].jpg", "s3://b/[link=http://x]a[/link].jpg", "s3://b/a\n\x1b[2J\u202eb.jpg"]


def test_the_csv_has_a_line_a_row_no_formula_and_names_that_come_back():
    rows = [ROW._replace(path=path, label="=cmd|'/c calc'!A1") for path in HOSTILE]
    body = to_csv(rows).decode()
    assert len(body.splitlines()) == 1 + len(rows)
    told = list(csv.DictReader(io.StringIO(body)))
    assert [unquoted(row["path"]) for row in told] == HOSTILE
    assert {row["label"] for row in told} == {"'=cmd|'/c calc'!A1"}


@pytest.mark.parametrize("path", HOSTILE)
def test_a_terminal_shows_a_name_and_takes_no_command_from_it(monkeypatch, path):
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system="truecolor", highlight=False)
    monkeypatch.setattr(terminal, "_console", lambda: console)
    terminal.show_errors([ROW._replace(path=path, label=path)])
    said = console.file.getvalue()
    assert said.count(quoted(path)) == 2
    assert not {"\x1b]8", "\x1b[2J", "\u202e"} & {part for part in ("\x1b]8", "\x1b[2J", "\u202e") if part in said}


def test_errors_in_a_pipe_are_a_line_a_row_whatever_their_names(capsys):
    terminal.show_errors([ROW._replace(path=path) for path in HOSTILE])
    lines = capsys.readouterr().out.splitlines()
    assert [unquoted(line.split("\t")[0]) for line in lines] == HOSTILE


def test_the_status_names_labels_so_that_they_can_be_told_apart():
    said = printed(terminal.rendered(replace(STATUS, labels={"": 1, "Kiwi ": 2, "Kiwi": 3, "[red]x": 4, "a\nb": 5})))
    assert '5: "" 1, "Kiwi " 2, Kiwi 3, [red]x 4, "a\\nb" 5' in said


@pytest.mark.parametrize("watched", [False, True])
def test_a_status_in_a_pipe_has_no_blanks_at_the_ends_of_its_lines(capsys, monkeypatch, watched):
    def stop(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(terminal.time, "sleep", stop)
    terminal.watch(lambda: STATUS, 1) if watched else terminal.show(STATUS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "images      2,016: 2,014 featurised, 2 failed"
    assert len(lines) == 12
    assert [line for line in lines if line != line.rstrip()] == []


def test_labels_that_look_alike_are_told_apart_in_a_line_of_the_status():
    assert "look alike" not in printed(terminal.rendered(STATUS))
    assert 'look alike "Kiwi", "kiwi"' in printed(terminal.rendered(replace(STATUS, labels={"Kiwi": 2, "kiwi": 1})))
