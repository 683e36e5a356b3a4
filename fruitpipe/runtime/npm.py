"""Fetches npm packages of pinned versions into the cache, each checked against the hash that npm publishes. Needs no npm.

The registry is that of npm's own settings: npm_config_registry in the environment, `registry` in ~/.npmrc, or the public one.
Proxies are those of HTTPS_PROXY and NO_PROXY.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import sys
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.errors import MissingRequirement
from fruitpipe.output import say
from fruitpipe.runtime import cache

if TYPE_CHECKING:
    from collections.abc import Mapping

PUBLIC = "https://registry.npmjs.org"
SETTING = re.compile(r"^\s*registry\s*=\s*(\S+)\s*$", re.MULTILINE)
ALGORITHM = "sha512"
TIMEOUT_SECONDS = 60


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


def registry(environment: Mapping[str, str], home: Path) -> str:
    """Where packages are asked for, without a slash at the end."""
    named = next((value for name, value in environment.items() if name.lower() == "npm_config_registry" and value), "")
    settings = home / ".npmrc"
    if not named and settings.is_file():
        found = SETTING.search(settings.read_text(encoding="utf-8"))
        named = found[1] if found else ""
    return (named or PUBLIC).rstrip("/")


def _archive(package: Package) -> bytes:
    kept = cache.folder() / "npm" / package.archive
    if kept.is_file() and package.is_whole(archive := kept.read_bytes()):
        return archive
    say(f"Fetching {package.name} {package.version} from npm into {kept} (once) ...", to=sys.stderr)
    archive = _fetched(package)
    if not package.is_whole(archive):
        raise MissingRequirement(
            f"{package.name} {package.version}: {len(archive)} bytes whose {ALGORITHM} is not the one that npm published; "
            "it was not used: check the registry that npm_config_registry names"
        )
    cache.made("npm")
    objects.write(objects.canonical(str(kept)), archive)
    return archive


def _fetched(package: Package) -> bytes:
    name = package.name.rpartition("/")[2]
    url = f"{registry(os.environ, Path.home())}/{package.name}/-/{name}-{package.version}.tgz"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - by the user's own setting
            return bytes(answer.read())
    except (OSError, ValueError) as error:  # ValueError: the setting is no URL
        raise MissingRequirement(
            f"{package.name} {package.version}: npm's registry did not give it ({getattr(error, 'reason', error)}); check the "
            "network, HTTPS_PROXY or npm_config_registry, or run where npm can: "
            f"npm pack {package.name}@{package.version} --pack-destination {cache.folder() / 'npm'}"
        ) from error
