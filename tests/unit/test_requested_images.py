"""What a request means, on a table that is written without Spark."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from fruitpipe import cli, objects
from fruitpipe.erasure import held_rows, notes, register, requested_images
from fruitpipe.erasure.request_list import Named
from fruitpipe.erasure.requested_images import Criteria
from fruitpipe.errors import NotFound
from tests.rows import empty_table

NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture
def root(tmp_path):
    empty_table(f"file://{tmp_path}/root")
    return f"file://{tmp_path}/root"


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    return f"file://{tmp_path}/images"


def add(root, **hashes):
    """Rows by path, each with the hash of its bytes."""
    rows = [
        {"path": path, "label": path.split("/")[-2], "sha256": sha256, "extractor": "e", "ingested_at": NOW, "error": "empty"}
        for path, sha256 in hashes.items()
    ]
    write_deltalake(root.removeprefix("file://") + "/features", pa.Table.from_pylist(rows), mode="append", schema_mode="merge")


def select(root, *uris, **more):
    return requested_images.select(root, Criteria([Named(uri) for uri in uris], **more))


def test_a_name_is_looked_up_and_the_tables_files_are_not_read(root, images, monkeypatch):
    add(root, **{f"{images}/a.jpg": "1"})
    monkeypatch.setattr(held_rows.search, "bodies", lambda _: pytest.fail("a file was read whole"))
    assert select(root, f"{images}/a.jpg").paths == [f"{images}/a.jpg"]
    assert select(root, prefix=images).paths == [f"{images}/a.jpg"]
    assert select(root, label="images").paths == [f"{images}/a.jpg"]


def asked(root, tmp_path, capsys, lines):
    """The command's exit code, and what it says on stderr of a list with these lines."""
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(SystemExit) as ended:
        cli.main(["erase", "--root", root, "--from-file", str(tmp_path / "list.txt")])
    return ended.value.code, capsys.readouterr().err


def test_every_unknown_name_is_told_with_its_place_and_nothing_is_recorded(root, images, tmp_path, capsys):
    add(root, **{f"{images}/a.jpg": "1"})
    code, said = asked(root, tmp_path, capsys, [f"{images}/a.jpg", *(f"{images}/{number}.jpg" for number in range(7))])
    assert code == 1
    assert "7 of 8 names are no images; nothing was recorded or erased" in said
    assert all(f"list.txt:{number + 2}: {images}/{number}.jpg: there is no such image" in said for number in range(7))
    assert register.every(root) == []


def test_every_name_that_can_be_no_images_is_told_with_its_line(root, images, tmp_path, capsys):
    add(root, **{f"{images}/a.jpg": "1"})
    lines = [f"{images}/a.jpg", "https://example.org/b.jpg", f"{root}/features", "ftp://host/c.jpg"]
    code, said = asked(root, tmp_path, capsys, lines)
    assert code == 2
    assert "3 of 4 names are no images; nothing was recorded or erased" in said
    assert all(f"list.txt:{number}: {lines[number - 1]}: " in said for number in (2, 3, 4))
    assert register.every(root) == []


def test_for_a_plain_name_that_nobody_knows_no_folder_is_listed(root, monkeypatch):
    monkeypatch.setattr(objects, "list_all", lambda uri, *_: pytest.fail(f"{uri} was listed") if "root" not in uri else iter(()))
    monkeypatch.setattr(objects, "children", lambda uri: pytest.fail(f"{uri} was listed") if "root" not in uri else [])
    with pytest.raises(NotFound, match="there is no such image"):
        select(root, "Bild")


@pytest.mark.parametrize(("given", "there", "kind"), [("a%20b.jpg", "a b.jpg", "percent-encoded"), ("a.jpg ", "a.jpg", "blanks")])
def test_a_name_that_was_changed_on_its_way_is_refused_and_the_right_one_named(root, images, given, there, kind):
    objects.write(f"{images}/{there}", b"a")
    with pytest.raises(NotFound, match=f"but one .*{kind}.*{there}"):
        select(root, f"{images}/{given}")


def test_an_old_name_tells_of_the_same_bytes_under_a_new_one(root, images, capsys):
    old, new = f"{images}/old/a.jpg", f"{images}/new/a.jpg"
    add(root, **{old: "same", new: "same", f"{images}/new/b.jpg": "other"})
    assert select(root, old).same_bytes == [new]
    assert select(root, old, new).same_bytes == []
    for flag, wanted in (("--not-same-bytes", [old]), ("--same-bytes", [old, new])):
        with pytest.raises(SystemExit):
            cli.main(["erase", "--root", root, old, flag, "--keep-object"])
        assert f"{new}: has the same bytes" in capsys.readouterr().out
        (record,) = register.every(root)
        assert notes.names(root, record.id) == sorted(wanted)
        objects.delete_all(f"{root}/erasures")
        objects.delete_all(f"{root}/events")


def test_a_row_that_only_an_old_file_still_has_is_known_by_its_name(root, images):
    old, new, folder = f"{images}/old/a.jpg", f"{images}/new/a.jpg", f"{root}/features"
    body = io.BytesIO()
    pq.write_table(pa.table({"path": [old, "file:///else.jpg"], "sha256": ["same", None]}), body)
    add(root, **{new: "same"})
    with pytest.raises(NotFound):
        select(root, old)
    objects.write(f"{folder}/no-longer-needed.parquet", body.getvalue())
    chosen = select(root, old)
    assert (chosen.paths, chosen.same_bytes) == ([old], [new])


def test_a_row_that_only_a_version_still_has_is_known_by_its_name(root, images):
    body = io.BytesIO()
    pq.write_table(pa.table({"path": [f"{images}/removed.jpg"], "label": ["Kiwi"]}), body)
    objects.write(f"{root}/reduced/v000001/part-0.parquet", body.getvalue())
    objects.write(f"{root}/reduced/v000002/part-0.parquet", b"PAR1 cut off")
    assert select(root, f"{images}/removed.jpg") == requested_images.Selection(
        paths=[f"{images}/removed.jpg"], asked_as=[], done={}, same_bytes=[], without_row=[]
    )
    with pytest.raises(NotFound, match="there is no such image"):
        select(root, f"{images}/other.jpg")


@pytest.mark.parametrize("given", [["--label", "Kiwi"], ["--prefix", "{images}/Kiwi"]])
def test_other_files_beside_a_labels_images_go_with_them_and_a_dry_run_says_how_many_and_does_nothing(
    root, images, capsys, given
):
    names = ["a.jpg", "notes.txt", "more.txt", "b.HEIC"]
    for name in names:
        objects.write(f"{images}/Kiwi/{name}", name.encode())
    add(root, **{f"{images}/Kiwi/a.jpg": "1"})
    flags = [flag.format(images=images) for flag in given]
    with pytest.raises(SystemExit) as ended:
        cli.main(["erase", "--root", root, *flags, "--dry-run"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        "3 of 4 have no row, and are other files or new images: 2 .txt, 1 .heic",
        "4 images would be erased, 0 more have the same bytes; --dry-run: nothing was done",
    ]
    assert register.every(root) == []
    chosen = select(root, label="Kiwi") if "--label" in flags else select(root, prefix=f"{images}/Kiwi")
    assert sorted(chosen.paths) == sorted(f"{images}/Kiwi/{name}" for name in names)


def test_an_empty_folders_marker_is_no_image(root, images):
    objects.write(f"{images}/a.jpg", b"a")
    objects.write(f"{images}/Kiwi_$folder$", b"")
    assert select(root, prefix=images).paths == [f"{images}/a.jpg"]
    objects.write(f"{images}/Lime", b"")
    with pytest.raises(NotFound, match="there is no such image"):
        select(root, prefix=f"{images}/Lime")


def test_an_image_that_is_put_back_before_its_erasure_was_carried_out_can_be_erased_again(root, images):
    image = f"{images}/Kiwi/0.jpg"
    objects.write(image, b"one")
    first = register.request(root, [image], requested_by="me")
    assert requested_images.select(root, Criteria([Named(image)])).done == {first.id: 1}, "it has not come to the object yet"
    objects.erase(image)
    notes.keep_objects(root, first.id, notes.Objects(removed=1))
    assert requested_images.select(root, Criteria([Named(image)])).done == {first.id: 1}, "the object is gone"
    objects.write(image, b"another")
    assert requested_images.select(root, Criteria([Named(image)])).paths == [image]
