"""What keeps Spark's Python workers quick."""

import gc
import importlib
import sys
import zipfile
import zipimport

from fruitpipe.runtime import workers


def test_zip_importers_are_forgotten_and_modules_of_the_archive_are_still_found(tmp_path, monkeypatch):
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("in_an_archive/__init__.py", "")
        file.writestr("in_an_archive/first.py", "value = 1")
        file.writestr("in_an_archive/second.py", "value = 2")
    monkeypatch.syspath_prepend(str(archive))
    assert importlib.import_module("in_an_archive.first").value == 1
    workers.keep_warm()
    assert not [finder for finder in sys.path_importer_cache.values() if isinstance(finder, zipimport.zipimporter)]
    assert importlib.import_module("in_an_archive.second").value == 2
    gc.unfreeze()
