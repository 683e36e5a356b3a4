"""The old place of `load_reduction` and `read_reduced`, kept for one version: import them from `fruitpipe`."""

import warnings

from fruitpipe.refit.publication import load_reduction, read_reduced

__all__ = ["load_reduction", "read_reduced"]

warnings.warn("fruitpipe.publication has moved: import load_reduction and read_reduced from fruitpipe", DeprecationWarning, 2)
