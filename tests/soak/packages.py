"""Makes the packages, installs the nodes' own into an empty environment without an index, and featurises a picture there.

    python tests/soak/packages.py [--dist FOLDER] [--aarch64 DEBIAN]

FOLDER: where `make package` left its packages; without it they are made. Two minutes. DEBIAN: a folder with Debian 12 for arm64;
the package for aarch64 is then installed and used there as well, and its vector compared. It is made once, and runs where
binfmt_misc knows qemu-user:

    apt-get install debootstrap qemu-user-static
    debootstrap --arch=arm64 --variant=minbase --include=python3.11,python3.11-venv bookworm DEBIAN
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from fruitpipe.pictures.drawn import draw
from fruitpipe.settings import default_model

CHECKOUT = Path(__file__).parents[2]
FEATURISE = """
import importlib.util, sys
absent = [name for name in ("tensorflow", "keras", "pyspark") if importlib.util.find_spec(name)]
assert not absent, absent
assert importlib.util.find_spec("delta")  # wants the cluster's pyspark when it is imported
import numpy, pandas, platform, pyarrow, boto3
from fruitpipe.extractor import featurise
from fruitpipe.extractor.inference import Network, ModelFile, fingerprint
from fruitpipe.pictures import decoding
from pathlib import Path
(picture,) = Path(sys.argv[2]).rglob("*.jpg")
model = ModelFile.load(sys.argv[1])
features = Network(model.body)(decoding.decode(picture.read_bytes()).pixels)
numpy.save(sys.argv[2] + "/features.npy", features)
print(f"{platform.machine()}: {features.shape}, sum {features.sum():.3f}, fingerprint {fingerprint(model)}")
"""


CLOSE = 1e-4  # that the vectors of two kinds of processor differ by, at most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dist", type=Path)
    parser.add_argument("--aarch64", type=Path, metavar="DEBIAN")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        dist = given.dist or Path(work, "dist")
        if not given.dist:
            subprocess.run([sys.executable, "deploy/package.py", str(dist), default_model()], cwd=CHECKOUT, check=True)
        said, vector = used(dist, platform.machine(), Path(work), [], os.path.realpath(sys.executable))
        if given.aarch64:
            compare(said, vector, *in_debian(dist, given.aarch64.resolve()))


def in_debian(dist: Path, debian: Path) -> tuple[str, np.ndarray]:
    with tempfile.TemporaryDirectory(dir=debian / "tmp") as work:
        return used(dist, "aarch64", Path(work), ["chroot", str(debian)], "/usr/bin/python3.11")


def used(dist: Path, architecture: str, work: Path, within: list[str], python: str) -> tuple[str, np.ndarray]:
    """Installs a package in `work` and featurises a picture there: the fingerprint, and the vector.

    within: the command that runs another in a system of its own, whose root folder is its last word; empty for this system.
    """
    inside = Path("/", work.relative_to(within[-1])) if within else work
    with tarfile.open(dist / f"node-{architecture}.tar.gz") as archive:
        archive.extractall(work / "node", filter="data")
    # No index, no cache, no configuration: what is not in the package cannot come from anywhere.
    alone = {"PATH": os.environ["PATH"], "HOME": str(inside), "PYTHON": python, "PIP_NO_INDEX": "1"}
    subprocess.run([*within, "/bin/bash", f"{inside}/node/install.sh", f"{inside}/opt"], env=alone, check=True)
    size = sum(path.stat().st_size for path in (work / "opt").rglob("*") if path.is_file())
    print(f"installed for {architecture}: {size / 1e6:.0f} MB", flush=True)
    draw(work / "pictures", 1, 1)
    model = f"{inside}/opt/model/{Path(default_model()).name}"
    command = [*within, f"{inside}/opt/venv/bin/python", "-c", FEATURISE, model, f"{inside}/pictures"]
    bare = {"HOME": str(inside), "PATH": "/usr/sbin:/usr/bin:/bin"}
    said = subprocess.run(command, env=bare, cwd=work, check=True, capture_output=True, text=True).stdout.strip()
    print(said, flush=True)
    return said.rpartition(" ")[2], np.load(work / "pictures" / "features.npy")


def compare(one: str, vector: np.ndarray, other: str, other_vector: np.ndarray) -> None:
    """Raises AssertionError where the two are of other extractors, or further apart than they may be."""
    apart = float(np.abs(vector - other_vector).max())
    print(f"fingerprints {one} and {other}, vectors at most {apart:.1e} apart")
    assert one == other
    assert apart <= CLOSE


if __name__ == "__main__":
    main()
