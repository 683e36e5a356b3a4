"""What Spark's Python workers need to be quick from one task to the next."""

from __future__ import annotations

import functools
import gc
import sys
import zipimport


def keep_warm() -> None:
    """Saves a reused worker 0.1 s of processor time a task, more than many a task takes. Called by what runs in the worker.

    Spark calls importlib.invalidate_caches() before each task. Before Python 3.12 that reads the directory of pyspark.zip again
    for every package that was imported from it (https://github.com/python/cpython/issues/103200). Importers that are forgotten
    are not asked, and are made again when they are needed.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimport.zipimporter):
            del sys.path_importer_cache[path]
    _freeze()


@functools.cache
def _freeze() -> None:
    """Spark collects garbage after each task; what was imported by now is none, and need not be looked through each time."""
    gc.freeze()
