"""What is shown of an image: its own, and nothing of others whose names are like it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fruitpipe import objects
from fruitpipe.erasure import access
from fruitpipe.root import manifests
from tests.rows import empty_table, put_rows

IMAGE = "file:///images/Kiwi/a b.jpg"


def show(root):
    return {file["file"].removeprefix(f"{root}/") for file in access.show(root, IMAGE)["held_in"]}


@pytest.mark.parametrize("name", ["a b.jpg (1).jpg", "a%20b.jpg"])
def test_rows_and_lines_of_an_image_whose_name_is_like_it_are_not_shown(tmp_path, name):
    root, other = f"file://{tmp_path}/root", f"file:///images/Kiwi/{name}"
    empty_table(root)
    put_rows(root, [objects.Stat(other, "e", 1, datetime.now(UTC))])
    lines = [manifests.to_line(manifests.ImageEvent("created", path)) + "\n" for path in (other, IMAGE)]
    manifest = f"{root}/events/2026/01/01/000000-test.jsonl"
    objects.write(manifest, lines[0].encode())
    assert show(root) == set()
    objects.write(manifest, "".join(lines).encode())
    (file,) = access.show(root, IMAGE)["held_in"]
    assert file == {"file": manifest, "lines": [lines[1].strip()]}


def test_without_a_table_its_lines_are_shown_all_the_same(tmp_path):
    root, line = f"file://{tmp_path}/root", manifests.to_line(manifests.ImageEvent("created", IMAGE))
    objects.write(f"{root}/events/2026/01/01/000000-test.jsonl", line.encode())
    assert show(root) == {"events/2026/01/01/000000-test.jsonl"}
