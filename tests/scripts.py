"""The scripts of deploy/, which are no package, as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

DEPLOY = Path(__file__).parents[1] / "deploy"


def load(name: str) -> ModuleType:
    """deploy/NAME.py."""
    if str(DEPLOY) not in sys.path:
        sys.path.insert(0, str(DEPLOY))  # as for a script that is run, which imports its neighbours
    spec = importlib.util.spec_from_file_location(name, DEPLOY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where a dataclass looks for its own module
    spec.loader.exec_module(module)
    return module
