"""How a job meets mistakes: one line, the right exit code, no traceback."""

from __future__ import annotations

import pickle
import signal

import pytest

from fruitpipe import errors, objects
from fruitpipe.errors import AccessDenied, FruitpipeError, NoImages, WrongRoot, WrongUsage
from fruitpipe.operations import job
from fruitpipe.root import layout
from fruitpipe.settings import IngestSettings, ReconcileSettings, RefitSettings


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--root: field required"),
        (["--root", "r", "--variance", "0"], "--variance 0: input should be greater than 0"),
        (["--root", "r", "--variance", "1.5"], "--variance 1.5: input should be less than or equal to 1"),
        (["--root", "r", "--components", "0"], "--components 0: input should be greater than or equal to 1"),
        (["--root", "r", "--components", "many"], "--components many: input should be a valid integer"),
        (["--root", "gs://b"], "gs://b: not a place that fruitpipe can reach"),
        (["--root", "pics [2024]"], "pics [2024]: holds [ ], which Spark takes for a pattern"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(capsys, arguments, said):
    assert job.run(lambda _: None, RefitSettings, arguments) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert said in err


@pytest.mark.parametrize(("error", "code"), [(NoImages("none; upload some"), 1), (WrongUsage("no; do this"), 2)])
def test_an_error_of_ours_is_one_line_and_its_exit_code(capsys, error, code):
    def fails(_):
        raise error

    assert job.run(fails, RefitSettings, ["--root", "r"]) == code
    assert capsys.readouterr().err == f"error: {error}\n"


def test_a_fault_of_our_own_is_not_hidden():
    def fails(_):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        job.run(fails, RefitSettings, ["--root", "r"])


def test_settings_come_from_the_environment_too(monkeypatch):
    monkeypatch.setenv("FRUITPIPE_ROOT", "s3://b/r/")
    monkeypatch.setenv("FRUITPIPE_MAX_FILES_PER_TRIGGER", "7")
    settings = IngestSettings(images="s3a://b/i")
    assert (settings.root, settings.images, settings.max_files_per_trigger) == ("s3://b/r", "s3://b/i", 7)


@pytest.mark.parametrize("settings", [IngestSettings, RefitSettings, ReconcileSettings])
def test_every_setting_says_what_it_is(settings):
    assert [name for name, field in settings.model_fields.items() if not field.description] == []


def test_errors_survive_the_way_from_a_worker_to_the_driver():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FruitpipeError)]
    assert len(kinds) > 10
    for kind in kinds:
        copy = pickle.loads(pickle.dumps(kind("what, and what to do")))
        assert (type(copy), str(copy)) == (kind, "what, and what to do")
        assert kind.__doc__


def test_a_root_is_ours_where_it_is_empty_or_holds_what_we_wrote(tmp_path):
    root = f"file://{tmp_path}/root"
    layout.check(root)
    objects.write(f"{root}/features/x", b"")
    objects.write(f"{root}/writer.json", b"")
    layout.check(root)
    for name in ("a", "b", "c", "d"):
        objects.write(f"{root}/{name}.txt", b"")
    with pytest.raises(WrongRoot, match=r"holds a\.txt, b\.txt, c\.txt and 1 more"):
        layout.check(root)


def test_a_new_root_in_the_folder_of_another_delta_table_is_refused(tmp_path):
    objects.write(f"file://{tmp_path}/table/_delta_log/00000000000000000007.json", b"{}")
    for inside in ("root", "deeper/root"):
        with pytest.raises(WrongRoot, match=rf"table/{inside} lies in the Delta table .*/table, whose VACUUM would remove it"):
            layout.check(f"file://{tmp_path}/table/{inside}")
    layout.check(f"file://{tmp_path}/tables")


def test_a_new_root_may_lie_where_nothing_above_it_may_be_listed(monkeypatch):
    asked = []

    def denied(uri):
        asked.append(uri)
        raise AccessDenied(uri)

    monkeypatch.setattr(objects, "children", lambda _: [])
    monkeypatch.setattr(objects, "exists", denied)
    layout.check("s3://bucket/team/root")
    assert asked == ["s3://bucket/team/_delta_log"]


def test_a_job_that_is_told_to_end_while_it_starts_ends_in_one_line_and_lets_go_of_what_it_holds(capsys):
    held = []

    def starts(_):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            held.append("released")

    before = signal.getsignal(signal.SIGTERM)
    try:
        assert job.run(starts, RefitSettings, ["--root", "r"]) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert held == ["released"]
    assert capsys.readouterr().err == "error: interrupted; start it again to go on\n"


@pytest.mark.parametrize("flag", ["--manifest-days", "--rejected-days", "--checkpoint-days", "--clear-hours"])
@pytest.mark.parametrize("given", ["inf", "nan", "1000000"])
def test_a_time_that_no_calendar_reaches_back_to_is_refused_at_the_start(capsys, flag, given):
    assert job.run(lambda _: None, IngestSettings, ["--root", "r", "--images", "i", flag, given]) == 2
    assert capsys.readouterr().err.startswith(f"error: {flag} ")


@pytest.mark.parametrize("seconds", ["inf", "nan", "-1"])
def test_a_trigger_needs_a_number_of_seconds(capsys, seconds):
    assert job.run(lambda _: None, IngestSettings, ["--root", "r", "--images", "i", "--trigger-seconds", seconds]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
