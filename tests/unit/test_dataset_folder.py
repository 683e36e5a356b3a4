"""`fruitpipe publish --to FOLDER`: what lies in a dataset folder after each version, and what is told of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from fruitpipe import cli, objects
from fruitpipe.erasure import elsewhere
from fruitpipe.errors import Conflict, Damaged, WrongUsage
from fruitpipe.export import dataset, publishing
from fruitpipe.export import register as exports
from fruitpipe.export.register import Export
from fruitpipe.pictures import naming
from fruitpipe.pictures.naming import Naming
from fruitpipe.refit import publication, rollback
from tests import withdrawn_copies
from tests.versions import EXTRACTOR, publish_rows

NUMBERS = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
KIWI = {f"s3://shop/Kiwi/{row}.jpg": NUMBERS[row] for row in range(3)}
LIME = {f's3://shop/Lime "a"/é {row}.jpg': NUMBERS[row] for row in range(3, 6)}


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "dataset"


def publish(root, folder, title="Fruits", license_=""):
    return publishing.publish(root, str(folder), title, license_)


def front_matter(folder):
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def rows_of(root, version):
    """By pyarrow's own reading of a version's folder."""
    return pq.read_table(publication.reduced_uri(root, version).removeprefix("file://")).sort_by("path").to_pylist()


def rows_in(folder):
    """By the card: the files that it names."""
    (config,) = front_matter(folder)["configs"]
    (split,) = config["data_files"]
    return sorted(
        (row for name in split["path"] for row in pq.read_table(folder / name).to_pylist()), key=lambda row: row["path"]
    )


def data(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "data").iterdir()}


def test_the_folder_has_the_rows_of_the_version_and_the_card_says_what_they_are(root, folder):
    version = publish_rows(root, KIWI | LIME)
    found = publish(root, folder, 'Fruits: "a"', "cc-by-4.0")
    assert rows_in(folder) == rows_of(root, version)
    assert found.rows == 6
    said = front_matter(folder)
    assert (said["pretty_name"], said["license"]) == ('Fruits: "a"', "cc-by-4.0")
    assert said["dataset_info"]["features"] == [
        {"name": "path", "dtype": "string"},
        {"name": "label", "dtype": "string"},
        {"name": "pca_features", "sequence": "float32"},
    ]
    page = (folder / "README.md").read_text()
    assert f"basis {version}" in page
    assert EXTRACTOR in page
    assert exports.every(root) == [Export(f"file://{folder}", "", version, "dataset folder")]


def test_the_description_is_croissant_with_each_file_by_its_hash_and_each_column_by_its_type(root, folder):
    """Mlcroissant 1.1.0 takes it with no error and reads its rows; here its structure is compared, as that needs much else."""
    publish_rows(root, KIWI | LIME)
    publish(root, folder)
    page = json.loads((folder / "croissant.json").read_text())
    assert (page["@type"], page["conformsTo"]) == ("sc:Dataset", "http://mlcommons.org/croissant/1.0")
    assert page["@context"]["@vocab"] == "https://schema.org/"
    assert page["version"] == "1.0.0"
    *files, together = page["distribution"]
    assert {one["contentUrl"]: (one["sha256"], one["contentSize"]) for one in files} == {
        f"data/{path.name}": (hashlib.sha256(path.read_bytes()).hexdigest(), f"{path.stat().st_size} B")
        for path in (folder / "data").iterdir()
    }
    assert {one["@type"] for one in files} == {"cr:FileObject"}
    assert sorted(together["includes"]) == sorted(one["contentUrl"] for one in files)
    (records,) = page["recordSet"]
    kinds = {
        field["source"]["extract"]["column"]: (field["dataType"], field.get("repeated", False)) for field in records["field"]
    }
    assert kinds == {"path": ("sc:Text", False), "label": ("sc:Text", False), "pca_features": ("sc:Float", True)}
    assert {field["source"]["fileSet"]["@id"] for field in records["field"]} == {together["@id"]}


def test_the_next_version_writes_what_changed_and_removes_what_is_gone_and_a_rollback_the_same(root, folder):
    first = publish_rows(root, KIWI | LIME)
    publish(root, folder)
    before = data(folder)
    changed = LIME | {next(iter(LIME)): NUMBERS[0]}
    second = publish_rows(root, KIWI | changed, basis=first)
    written = publish(root, folder)
    after = data(folder)
    assert rows_in(folder) == rows_of(root, second)
    kept = before.keys() & after.keys()
    assert (len(before), len(after), len(kept)) == (2, 2, 1)
    assert {path: before[path] for path in kept} == {path: after[path] for path in kept}
    assert [one.version for one in exports.every(root)] == [second]
    (new,) = after.keys() - before.keys()
    assert written.done == f"{new.stat().st_size} bytes of data written"
    rollback.roll_back(root, first)
    publish(root, folder)
    assert data(folder).keys() == before.keys()
    assert [one.version for one in exports.every(root)] == [first]


def test_a_file_that_was_cut_there_is_written_again_and_what_others_put_beside_it_stays(root, folder):
    version = publish_rows(root, KIWI)
    folder.mkdir()
    (folder / ".gitattributes").touch()
    publish(root, folder)
    (file,) = (folder / "data").iterdir()
    file.write_bytes(file.read_bytes()[:-10])
    (folder / "data" / "notes.parquet").touch()
    publish(root, folder)
    assert rows_in(folder) == rows_of(root, version)
    assert {path.name for path in (folder / "data").iterdir()} == {file.name, "notes.parquet"}


def test_a_damaged_version_is_not_published_and_what_lies_there_stays_as_it_was(root, folder):
    publish_rows(root, KIWI)
    publish(root, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    second = publish_rows(root, KIWI | LIME)
    file = publication.reduced_uri(root, second).removeprefix("file://") + '/part-Lime "a".parquet'
    column = pq.read_metadata(file).row_group(0).column(2)
    with open(file, "r+b") as opened:
        opened.seek((column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 4)
        opened.write(b"\xff\x00\xff\x00")
    with pytest.raises(Damaged, match="does not read back"):
        publish(root, folder)
    assert before.items() <= {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}.items()
    assert [one.version for one in exports.every(root)] == ["v000001", second]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("root/models", "lies in the root"),
        ("images/dataset", "lies among the images"),
        ("other", "holds notes.txt, which fruitpipe publish did not write for .*/root"),
    ],
)
def test_a_dataset_is_not_put_among_other_things(root, tmp_path, where, message):
    publish_rows(root, KIWI)
    naming.keep(root, Naming(prefixes=(f"file://{tmp_path}/images",)))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(WrongUsage, match=message):
        publish(root, tmp_path / where)
    assert exports.every(root) == []


def test_another_roots_folder_is_refused_and_ones_own_is_taken_where_the_list_was_lost(root, folder, tmp_path):
    publish_rows(root, KIWI)
    publish(root, folder)
    objects.delete(f"{root}/models/{exports.FILE}")
    other = f"file://{tmp_path}/other"
    publish_rows(other, KIWI)
    with pytest.raises(WrongUsage, match=r"holds README\.md, croissant\.json, data/, which"):
        publish(other, folder)
    publish(root, folder)
    assert [one.version for one in exports.every(root)] == ["v000001"]


def test_a_certificate_names_the_folder_and_the_command_and_afterwards_no_byte_of_the_image_is_there(root, folder):
    image = next(iter(KIWI))
    publish_rows(root, KIWI | LIME)
    publish(root, folder)
    withdrawn_copies.withdraw(root, image, KIWI | LIME)
    told = withdrawn_copies.told(root, image)
    assert told == [
        {
            "what": f"file://{folder}",
            "until": f"fruitpipe publish --root ROOT --to file://{folder} brings it in step, or with --remove takes it away",
            "why": "it was made of v000001, which is not published any more",
        }
    ]
    withdrawn_copies.carry_out(told[0], root)
    assert exports.withdrawn(root) == []
    assert rows_in(folder) == rows_of(root, "v000002")
    assert not [path for path in (folder / "data").iterdir() if image.encode() in path.read_bytes()]


def test_a_version_that_is_withdrawn_meanwhile_stays_in_the_register(root, folder, monkeypatch):
    publish_rows(root, KIWI | LIME)
    second = publish_rows(root, KIWI)
    write = dataset.write

    def withdrawing(*given):
        publication.withdraw(root, [second])
        return write(*given)

    monkeypatch.setattr(dataset, "write", withdrawing)
    with pytest.raises(Conflict, match=rf"{second} was withdrawn or replaced meanwhile, and .* holds it; run the command again"):
        publish(root, folder)
    assert [one.version for one in exports.withdrawn(root)] == [second]
    monkeypatch.undo()
    publish(root, folder)
    assert rows_in(folder) == rows_of(root, "v000001")
    assert exports.withdrawn(root) == []


def test_of_two_runs_at_once_the_one_that_ends_last_forgets_nothing_that_it_left_there(root, folder, monkeypatch):
    first = publish_rows(root, KIWI | LIME)
    write = dataset.write

    def overtaken(*given):
        monkeypatch.undo()
        publish_rows(root, KIWI)
        publication.withdraw(root, [first])
        publish(root, folder)
        return write(*given)

    monkeypatch.setattr(dataset, "write", overtaken)
    with pytest.raises(Conflict, match=f"{first} was withdrawn or replaced meanwhile"):
        publish(root, folder)
    assert [one.version for one in exports.withdrawn(root)] == [first]
    publish(root, folder)
    assert rows_in(folder) == rows_of(root, "v000002")
    assert exports.withdrawn(root) == []


def test_a_run_beside_which_another_began_that_has_not_ended_is_told_that_the_folder_may_be_no_whole_version(
    root, folder, monkeypatch
):
    publish_rows(root, KIWI | LIME)
    write = dataset.write

    def another_begins(new, described):
        monkeypatch.undo()
        exports.add(root, new._replace(version=publish_rows(root, KIWI)))
        return write(new, described)

    monkeypatch.setattr(dataset, "write", another_begins)
    with pytest.raises(Conflict, match="v000001 was withdrawn or replaced meanwhile"):
        publish(root, folder)
    publish(root, folder)
    assert rows_in(folder) == rows_of(root, "v000002")
    assert [one.version for one in exports.every(root)] == ["v000002"]


def test_data_files_of_others_stay_wherever_they_lie(root, folder):
    publish_rows(root, KIWI | LIME)
    publish(root, folder)
    *_, mine = sorted((folder / "data").iterdir())
    (folder / "data/old").mkdir()
    others = [folder / "data/test-00000-of-00001-b42a775f407cee45.parquet", folder / "data/old" / mine.name]
    for path in others:
        path.write_bytes(mine.read_bytes())
    mine.unlink()
    publish(root, folder)
    assert mine.exists()
    publish_rows(root, KIWI)
    publish(root, folder)
    assert rows_in(folder) == rows_of(root, "v000002")
    assert all(path.exists() for path in others)
    assert not mine.exists()


def test_what_did_not_change_is_not_written_again(root, folder):
    publish_rows(root, KIWI)
    publish(root, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    publish(root, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_it_is_taken_away_though_nothing_is_published_any_more(root, folder, capsys):
    version = publish_rows(root, KIWI)
    publish(root, folder)
    (folder / "LICENSE").touch()
    publication.withdraw(root, [version])
    with pytest.raises(SystemExit) as ended:
        cli.main(["publish", "--root", root, "--to", str(folder), "--remove"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"file://{folder}: {version} removed\n"
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["LICENSE"]
    assert exports.every(root) == []
    with pytest.raises(WrongUsage, match="its copies lie at: none"):
        publishing.take_away(root, str(folder))


def test_an_app_and_a_dataset_of_one_version_are_told_apart(root, folder):
    publish_rows(root, KIWI)
    exports.add(root, Export("s3://shop/app", "v000001-01234567", "v000001"))
    publish(root, folder)
    assert Counter(one.kind for one in exports.every(root)) == {"app": 1, "dataset folder": 1}
    with pytest.raises(
        WrongUsage, match=rf"nothing of {root} was published to s3://shop/app; its copies lie at: file://{folder}"
    ):
        publishing.take_away(root, "s3://shop/app")
    assert elsewhere.of(root, [], exports=[f"file://{folder}"]) == []
