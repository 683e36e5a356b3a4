"""Where everything lives that is fetched or built once on a machine, outside the checkout."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """FRUITPIPE_CACHE, else ~/.cache/fruitpipe."""
    return Path(os.environ.get("FRUITPIPE_CACHE") or Path.home() / ".cache" / "fruitpipe")
