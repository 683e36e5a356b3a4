"""What the doctor says of a root that lies in a folder."""

import json
from dataclasses import replace

import pytest

from fruitpipe import objects
from fruitpipe.errors import NotFound
from fruitpipe.operations import doctor
from fruitpipe.refit import rollback


@pytest.fixture
def asked(tmp_path):
    """A root with two published versions, as far as the doctor looks at them."""
    root = f"file://{tmp_path}/root"
    for version in ("v000001", "v000002"):
        for name in (f"models/{version}/reduction.npz", f"models/{version}/reduction.json", f"reduced/{version}/part-0.parquet"):
            objects.write(f"{root}/{name}", b"1")
    pointer = {"version": "v000002", "versions": ["v000001", "v000002"]}
    objects.write(f"{root}/reduced/latest.json", json.dumps(pointer).encode())
    return doctor.Asked(root=root, images=None, model="", allowed_regions="any")


def test_the_doctor_says_whether_readers_are_held_at_a_version(asked):
    assert doctor.check_pointer(asked) == "v000002, of 2 published"
    rollback.roll_back(asked.root, "v000001")
    said = doctor.check_pointer(asked)
    assert said.startswith("v000001, of 2 published; v000001 is held since 20")
    assert said.endswith(f"UTC, until fruitpipe release --root {asked.root}")


def test_the_doctor_names_what_is_no_image_and_a_folder_without_any(asked, tmp_path):
    asked = replace(asked, images=f"file://{tmp_path}/images")
    for name in ("a.HEIC", "b.heic", "c.MOV"):
        objects.write(f"{asked.images}/{name}", b"1")
    with pytest.raises(NotFound, match=r"no image matches .* \(passed over: .*: 2 .heic, 1 .mov\); check --images"):
        doctor.check_images(asked)
    objects.write(f"{asked.images}/d.jpg", b"1")
    objects.write(f"{asked.images}/._d.jpg", b"1")
    said = doctor.check_images(asked)
    assert "list and read (d.jpg); passed over: 1 side files of macOS; names" in said
    assert said.endswith("names that are not like *.{jpg,jpeg,png,webp}: 2 .heic, 1 .mov")
