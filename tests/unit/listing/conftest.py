"""A listing of an image prefix, as a stream begins it, and what it has named."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from fruitpipe import objects
from fruitpipe.ingest.mount import Mount
from fruitpipe.ingest.prefix_listing import Listing
from fruitpipe.ingest.removals import Removals
from fruitpipe.pictures import naming
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.settings import IngestSettings
from fruitpipe.table import path_hashes
from fruitpipe.table.hash_index import HashIndex
from tests.rows import empty_table, put_rows


@pytest.fixture
def images(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


@pytest.fixture
def begin(images, root):
    """A listing as a stream begins it, to which what it is told of is seen."""

    def begin(seen=None, **given):
        settings = IngestSettings(images=str(images), root=root, **given)
        rule = naming.proposed(settings, is_new=lambda: True)
        choice = ImageFilter(rule, settings.glob)
        removals = Removals(settings, f"{root}/checkpoints/ingest", Mount(settings.images), choice)
        return Listing(settings, lambda: seen or HashIndex(), removals, rule)

    return begin


@pytest.fixture
def begin_with_rows(images, root, begin):
    """A listing as a stream begins it that has a row of each image which is there."""

    def begin_with_rows(**given):
        if not objects.exists(f"{root}/features"):
            empty_table(root)
            put_rows(root, objects.list_all(f"file://{images}"))
        return begin(path_hashes.of_rows(root, f"file://{images}").below(), **given)

    return begin_with_rows


@pytest.fixture
def named(root):
    """The names in all manifests, and in how many manifests they are."""

    def named():
        written = [stat.path for stat in objects.list_all(f"{root}/events") if stat.path.endswith(".jsonl")]  # as Spark does
        bodies = [objects.read(uri).decode().splitlines() for uri in written]
        return sorted(objects.name(json.loads(line)["path"]) for lines in bodies for line in lines), len(bodies)

    return named


@pytest.fixture
def events(root):
    """The events in all manifests, by the image's name: `created` and `removed`."""

    def events():
        told = defaultdict(list)
        for stat in objects.list_all(f"{root}/events"):
            for line in objects.read(stat.path).decode().splitlines():
                told[json.loads(line)["event"]].append(objects.name(json.loads(line)["path"]))
        return {event: sorted(names) for event, names in told.items()}

    return events
