"""Makes the packages, installs the nodes' own into an empty environment without an index, and featurises a picture there.

Usage: python tests/soak/packages.py [FOLDER]; without it, where `make package` leaves its packages, they are made. Two minutes.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from fruitpipe.settings import default_model

CHECKOUT = Path(__file__).parents[2]
FEATURISE = """
import importlib.util, sys
absent = [name for name in ("tensorflow", "keras", "pyspark") if importlib.util.find_spec(name)]
assert not absent, absent
assert importlib.util.find_spec("delta")  # wants the cluster's pyspark when it is imported
import pandas, pyarrow, boto3
from fruitpipe.extractor import featurise
from fruitpipe.extractor.inference import Extractor, Model, fingerprint
from fruitpipe.pictures import decoding, drawn
from pathlib import Path
drawn.draw(Path(sys.argv[2]), 1, 1)
(picture,) = Path(sys.argv[2]).rglob("*.jpg")
model = Model.load(sys.argv[1])
features = Extractor(model.body)(decoding.decode(picture.read_bytes()).pixels)
print(f"{picture.name}: {features.shape}, sum {features.sum():.3f}, fingerprint {fingerprint(model)}")
"""


def main(folder: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as work:
        dist = Path(folder or f"{work}/dist")
        if not folder:
            subprocess.run([sys.executable, "deploy/package.py", str(dist), default_model()], cwd=CHECKOUT, check=True)
        with tarfile.open(dist / f"node-{platform.machine()}.tar.gz") as archive:
            archive.extractall(f"{work}/node", filter="data")
        home = f"{work}/opt"
        # No index, no cache, no configuration: what is not in the package cannot come from anywhere.
        alone = {"PATH": os.environ["PATH"], "HOME": work, "PYTHON": os.path.realpath(sys.executable), "PIP_NO_INDEX": "1"}
        subprocess.run(["bash", f"{work}/node/install.sh", home], env=alone, check=True)
        size = sum(path.stat().st_size for path in Path(home).rglob("*") if path.is_file())
        print(f"installed: {size / 1e6:.0f} MB")
        command = [f"{home}/venv/bin/python", "-c", FEATURISE, f"{home}/model/mobilenetv2-1.0-224.tflite", f"{work}/pictures"]
        subprocess.run(command, env={"HOME": work, "PATH": "/usr/bin:/bin"}, cwd=work, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
