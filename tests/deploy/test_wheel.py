"""The wheel alone, without the checkout: its command runs the jobs from any folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fruitpipe.runtime import cache
from tests.pictures import fill
from tests.scripts import load

package = load("package")
pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """`fruitpipe` of an environment that holds the wheel, and borrows all that it depends on."""
    work = tmp_path_factory.mktemp("wheel")
    environment = work / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    package.pip("--python", str(python), "install", "--no-deps", "--no-index", str(package.own_wheel(work)))
    (folder,) = environment.glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (folder / "borrowed.pth").write_text("".join(f"{path}\n" for path in borrowed))
    asked = [python, "-c", "import fruitpipe; print(fruitpipe.__file__)"]
    where = subprocess.run(asked, cwd=work, capture_output=True, check=True)
    assert Path(where.stdout.decode()).is_relative_to(folder)
    return environment / "bin" / "fruitpipe"


def test_the_wheels_command_ingests_refits_and_tells_from_another_folder(command, tmp_path):
    def run(*arguments):
        alone = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "FRUITPIPE_CACHE": str(cache.folder())}
        done = subprocess.run([command, *arguments], cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    fill(tmp_path / "images", 6)
    assert run("ingest", "--images", "images", "--root", "root", "--once").endswith("ingest: 6 images featurised, 0 failed\n")
    assert "v000001: 6 rows, 1 labels; k = 2 keeps" in run("refit", "--root", "root", "--components", "2", "--no-report")
    told = json.loads(run("status", "--root", "root", "--json"))
    assert told["images"] == 6
