"""Builds the packages for a cluster's nodes and for the Lambda functions, on any system: `make package`.

The same checkout gives the same bytes, so a deployment that changes nothing keeps their names and replaces no cluster.
Usage: python deploy/package.py OUTPUT MODEL [PARAMETERS]; PARAMETERS is a file as deploy/parameters.toml: EMR's release, HEIC.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from plan import Plan, Refused

from fruitpipe.runtime import lanes

CHECKOUT = Path(__file__).parents[1]
ARCHITECTURES = ("x86_64", "aarch64")
PYTHON = "3.11"  # of Amazon Linux 2023 on EMR; emr-spark-8.0.0 also has 3.12 and 3.13, emr-spark-8.1.0 3.13
GLIBC = (34, 28, 27, 24, 17)  # Amazon Linux 2023 has 2.34 and takes wheels made for any older one
# EMR has pyspark of its own, which wants pandas and pyarrow; Delta's Python part would ask for another pyspark.
OF_SPARK = ("pandas", "importlib_metadata")
WITHOUT_DEPENDENCIES = "delta-spark"
LAMBDAS = {
    "collect_events": ("collect_events",),
    "start_refit": ("start_refit", "start_cluster", "refit_request", "refit_settings", "claims"),
    "watch": ("watch",),
}
EPOCH = (1980, 1, 1, 0, 0, 0)


def package(output: Path, model: Path, plan: Plan) -> None:
    """Writes the packages for a plan's release of EMR into `output` and prints their sizes."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    for name, modules in LAMBDAS.items():
        (output / f"{name}.zip").write_bytes(zipped({f"{one}.py": CHECKOUT / "lambda" / f"{one}.py" for one in modules}))
    shutil.copy(CHECKOUT / "deploy" / "bootstrap.sh", output)
    with tempfile.TemporaryDirectory() as work:
        wheel, pins = own_wheel(Path(work)), Path(work, "constraints.txt")
        pins.write_text(constraints(plan.release))
        for architecture in ARCHITECTURES:
            folder = Path(work, architecture)
            fill(folder, architecture, f"{wheel}[{plan.extras}]", model, pins)
            (output / f"node-{architecture}.tar.gz").write_bytes(tarred(folder))
            wheels = sorted((folder / "wheels").iterdir(), key=lambda path: -path.stat().st_size)
            print(f"{architecture}: {len(wheels)} wheels, largest {', '.join(map(sized, wheels[:3]))}")
    for path in sorted(output.iterdir()):
        print(f"{output.name}/{sized(path)}")


def own_wheel(work: Path) -> Path:
    """The wheel of this checkout, built from a copy: setuptools takes along what an earlier build left behind."""
    source = work / "source"
    shutil.copytree(CHECKOUT / "fruitpipe", source / "fruitpipe", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(CHECKOUT / name, source)
    pip("wheel", "--no-deps", "--wheel-dir", str(work), str(source))
    (wheel,) = work.glob("fruitpipe-*.whl")
    return wheel


def constraints(release: str) -> str:
    """The checkout's pins, with the Delta of EMR's release."""
    lane = lanes.of_emr(release)
    assert lane, release
    return lanes.constraints(lane, (CHECKOUT / "constraints.txt").read_text())


def fill(folder: Path, architecture: str, wheel: str, model: Path, pins: Path) -> None:
    """Fills the folder of one architecture's package, which install.sh reads on a node. wheel: with extras, for pip."""
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    platforms = [f"--platform=manylinux_2_{minor}_{architecture}" for minor in GLIBC] + [
        f"--platform=manylinux2014_{architecture}"
    ]
    target = [f"--python-version={PYTHON}", "--implementation=cp", "--only-binary=:all:", *platforms]
    pinned = ["--constraint", str(pins), "--dest", str(wheels)]
    pip("download", *target, *pinned, wheel, *OF_SPARK)
    pip("download", *target, *pinned, "--no-deps", WITHOUT_DEPENDENCIES)
    (folder / "requirements.txt").write_text("".join(f"{name}\n" for name in sorted(map(pinned_name, wheels.iterdir()))))
    for name in ("streaming", "batch"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for source, to in ((CHECKOUT / "deploy" / "stream", "bin/stream"), (model, f"model/{model.name}")):
        (folder / to).parent.mkdir()
        shutil.copy(source, folder / to)
    shutil.copy(CHECKOUT / "deploy" / "install.sh", folder)
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files(folder)]
    (folder / "SHA256SUMS").write_text("".join(sums))


def pinned_name(wheel: Path) -> str:
    """``numpy-2.4.6-cp311-….whl`` → ``numpy==2.4.6``."""
    name, version, *_ = wheel.name.split("-")
    return f"{name}=={version}"


def pip(*arguments: str) -> None:
    """Runs pip; exits with its error where it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"SOURCE_DATE_EPOCH": "315532800"}
    )
    if answer.returncode:
        sys.exit(f"error: pip {arguments[0]} failed: {answer.stderr.strip()[-1000:]}")


def zipped(members: dict[str, Path]) -> bytes:
    """A ZIP whose bytes depend on names and contents alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(members.items()):
            info = zipfile.ZipInfo(name, EPOCH)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
    return buffer.getvalue()


def tarred(folder: Path) -> bytes:
    """A compressed tar whose bytes depend on names, contents and permissions alone."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in files(folder):
            info = tarfile.TarInfo(str(path.relative_to(folder)))
            info.size, info.mode = path.stat().st_size, 0o755 if os.access(path, os.X_OK) else 0o644
            archive.addfile(info, io.BytesIO(path.read_bytes()))
    packed = io.BytesIO()
    # Not gzip.compress, whose header has another byte from Python 3.13 on. Wheels are compressed already.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=packed, mtime=0) as file:
        file.write(plain.getvalue())
    return packed.getvalue()


def files(folder: Path) -> list[Path]:
    """Every file below, sorted, as file systems list in different orders."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sized(path: Path) -> str:
    """A file's name and its size in MB."""
    return f"{path.name} {path.stat().st_size / 1e6:.3f} MB"


if __name__ == "__main__":
    try:
        asked = Plan.read(Path(sys.argv[3]), transient=False) if sys.argv[3:] else Plan("fruitpipe", "")
    except Refused as error:
        sys.exit(f"error: {error}")
    package(Path(sys.argv[1]), Path(sys.argv[2]), asked)
