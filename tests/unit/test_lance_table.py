"""`fruitpipe publish --to FOLDER/NAME.lance`: what LanceDB itself reads of the table after each version."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruitpipe import cli
from fruitpipe.erasure import places
from fruitpipe.errors import Conflict, Damaged, PlatformFault, WrongUsage
from fruitpipe.export import lance_table, publishing
from fruitpipe.export import register as exports
from fruitpipe.refit import publication, rollback
from tests import withdrawn_copies
from tests.versions import publish_rows

lancedb = pytest.importorskip("lancedb", reason="needs lancedb: pip install 'fruitpipe[lance]'")

NUMBERS = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
ROWS = {f"s3://shop/Kiwi/it's {row} {'x' * row}.jpg": NUMBERS[row] for row in range(6)}


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


@pytest.fixture
def place(tmp_path):
    return tmp_path / "fruits.lance"


def publish(root, place):
    return publishing.publish(root, str(place), "", "")


def rows_in(place, version):
    rows = lancedb.connect(place).open_table(version).to_arrow().to_pylist()
    return {row["path"]: (row["label"], row["pca_features"]) for row in rows}


def rows_of(root, version):
    rows = pq.read_table(publication.reduced_uri(root, version).removeprefix("file://")).to_pylist()
    return {row["path"]: (row["label"], row["pca_features"]) for row in rows}


def test_the_table_has_the_rows_of_the_version_and_finds_the_nearest(root, place):
    version = publish_rows(root, ROWS)
    assert publish(root, place).rows == 6
    assert rows_in(place, version) == rows_of(root, version)
    path, numbers = list(ROWS.items())[2]
    (nearest,) = lancedb.connect(place).open_table(version).search(numbers, vector_column_name="pca_features").limit(1).to_list()
    assert (nearest["path"], nearest["basis"], nearest["version"]) == (path, version, version)


def test_what_the_page_says_of_a_search_runs_as_it_stands(root, place):
    publish_rows(root, ROWS)
    publish(root, place)
    said = Path(__file__).parents[2] / "docs" / "publish.md"
    (code,) = re.findall(r"```python\n(.*?)```", said.read_text(), re.DOTALL)
    known = {}
    exec(code.replace("demo/fruits.lance", str(place)).replace("demo/root", root.removeprefix("file://")), known)
    assert known["nearest"]["path"][0] == known["table"].head(1)["path"][0].as_py()
    assert len(known["nearest"]) == 5


def files_with(place, needle):
    return [path for path in Path(place).rglob("*") if path.is_file() and needle in path.read_bytes()]


def test_a_certificate_names_the_table_and_its_command_leaves_neither_name_nor_vector(root, place, monkeypatch):
    monkeypatch.setattr(places, "on_this_machine", lambda _: [])
    image, vector = list(ROWS)[3], NUMBERS[3].tobytes()
    wrong = publish_rows(root, ROWS)
    publish(root, place)
    assert files_with(place, image.encode())
    assert files_with(place, vector)
    second = withdrawn_copies.withdraw(root, image, ROWS)
    (told,) = withdrawn_copies.told(root, image)
    assert told["what"] == f"file://{place}/{wrong}.lance"
    assert told["until"].startswith(f"fruitpipe publish --root ROOT --to file://{place} brings it in step")
    withdrawn_copies.carry_out(told, root)
    assert withdrawn_copies.told(root, image) == []
    assert rows_in(place, second) == rows_of(root, second)
    assert files_with(place, image.encode()) == files_with(place, vector) == []
    assert [path.name for path in place.iterdir()] == [f"{second}.lance"]


def test_it_follows_a_rollback_and_writes_nothing_twice(root, place):
    first = publish_rows(root, ROWS)
    publish(root, place)
    publish_rows(root, dict(list(ROWS.items())[:4]), basis=first)
    publish(root, place)
    rollback.roll_back(root, first)
    assert publish(root, place).done == "6 rows written"
    assert [path.name for path in place.iterdir()] == [f"{first}.lance"]
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    assert publish(root, place).done == "0 rows written"
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_what_an_interrupted_run_left_is_removed_and_the_table_written(root, place, monkeypatch):
    version = publish_rows(root, ROWS)
    with monkeypatch.context() as broken:
        broken.setattr(lance_table.vector_files, "rows_at", breaking)
        with pytest.raises(PlatformFault, match=r"LanceDB cannot write there \(.*the plug"):
            publish(root, place)
    half = place / f"{version}.lance" / "data" / "half.lance"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"half")
    publish(root, place)
    assert rows_in(place, version) == rows_of(root, version)
    assert not half.exists()


def test_a_table_whose_data_files_are_gone_is_written_again(root, place):
    version = publish_rows(root, ROWS)
    publish(root, place)
    (data,) = (place / f"{version}.lance" / "data").iterdir()
    data.unlink()
    assert publish(root, place).done == "6 rows written"
    assert rows_in(place, version) == rows_of(root, version)


def test_a_table_that_another_run_made_meanwhile_is_a_conflict_in_a_line(root, place, monkeypatch):
    version = publish_rows(root, ROWS)

    def another_run(*_):
        lancedb.connect(place).create_table(version, pa.table({"version": [version]}))

    with monkeypatch.context() as at_once:
        at_once.setattr(lance_table, "remove", another_run)
        with pytest.raises(Conflict, match=r"v000001.* another run wrote there; run the command again"):
            publish(root, place)
    publish(root, place)
    assert rows_in(place, version) == rows_of(root, version)


def breaking(*_):
    raise OSError("the plug is pulled")


def test_a_damaged_version_is_refused_in_a_line_and_the_table_before_stays(root, place):
    first = publish_rows(root, ROWS)
    publish(root, place)
    second = publish_rows(root, dict(list(ROWS.items())[:4]), basis=first)
    (file,) = Path(publication.reduced_uri(root, second).removeprefix("file://")).glob("*.parquet")
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 255
    file.write_bytes(body)
    with pytest.raises(Damaged, match="does not read back"):
        publish(root, place)
    assert [path.name for path in place.iterdir()] == [f"{first}.lance"]


def test_a_place_that_cannot_be_written_and_a_missing_package_are_one_line_each(root, tmp_path, monkeypatch, capsys):
    publish_rows(root, ROWS)
    (tmp_path / "file").write_text("")
    assert "LanceDB cannot write there (" in one_line(["publish", "--root", root, "--to", f"{tmp_path}/file/a.lance"], capsys)
    monkeypatch.setitem(sys.modules, "lancedb", None)
    said = one_line(["publish", "--root", root, "--to", f"{tmp_path}/a.lance"], capsys)
    assert said == "error: LanceDB is not installed; run: pip install 'fruitpipe[lance]'"
    assert [one.place for one in exports.every(root)] == [f"file://{tmp_path}/file/a.lance"]


def one_line(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_it_is_taken_away_and_another_roots_table_and_a_bucket_are_refused(root, place, tmp_path):
    publish_rows(root, ROWS)
    publish(root, place)
    other = f"file://{tmp_path}/other"
    publish_rows(other, ROWS)
    with pytest.raises(WrongUsage, match=r"v000001\.lance is there already, and not in the list of .*/other; give another name"):
        publish(other, place)
    with pytest.raises(WrongUsage, match="a LanceDB table is written to a local folder"):
        publish(root, "s3://shop/fruits.lance")
    publishing.take_away(root, str(place))
    assert not [path for path in place.rglob("*") if path.is_file()]
