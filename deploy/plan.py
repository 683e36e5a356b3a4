"""Reads and checks a parameters file: the stack's name, its region, and the template's parameters."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from fruitpipe import regions
from fruitpipe.runtime import lanes

UNION = set(regions.UNION) - regions.SOVEREIGN
# Disks of a node's own: a d after the generation, as in m5d and c6gd, or a family that is made of them.
OWN_DISKS = re.compile(r"(?:[a-z]+\d+[a-z]*d[a-z]*|[dhi]\d+[a-z]*|im\d+[a-z]*|is\d+[a-z]*|x1e?)\.")
GRAVITON = re.compile(r"[a-z]+\d+g[a-z]*\.")
RELEASE = "emr-spark-8.1.0"  # the template's default
NAME = re.compile("[a-z][a-z0-9-]{1,19}")  # so that the buckets' names stay below 63 characters
PREFIX = re.compile("[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9_-]+)*")  # as the template's: with a / at its end no key would match


class Refused(Exception):
    """The deployment cannot go on; one line says why and what to do."""


@dataclass(frozen=True)
class Plan:
    """The contents of a parameters file."""

    stack: str
    region: str
    parameters: dict[str, str] = field(default_factory=dict)
    heic: bool = False  # whether the nodes decode HEIC: by a package under GPLv2

    @classmethod
    def read(cls, path: Path, transient: bool) -> Plan:
        """Raises Refused for a file that cannot be, before anything is asked of AWS."""
        try:
            content = tomllib.loads(path.read_text())
            stack, region = content["stack"], content["region"]
        except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
            raise Refused(f"{path}: {error}; it needs stack and region, as deploy/parameters.toml has them") from error
        if region not in UNION:
            raise Refused(f"{path}: region {region!r} lies outside the European Union; give one of {', '.join(sorted(UNION))}")
        if not NAME.fullmatch(stack):
            raise Refused(f"{path}: stack {stack!r}; give 2 to 20 of a-z, 0-9 and -, the first a letter")
        parameters = {name: str(value) for name, value in content.get("parameters", {}).items()}
        for name in ("ImagesPrefix", "RootPrefix"):
            if not PREFIX.fullmatch(parameters.get(name, "x")):
                given = f"{path}: {name} {parameters[name]!r}"
                raise Refused(f"{given}; give names of letters, digits, - and _ with / between them, as fruit/images")
        heic = content.get("heic", False)
        if not isinstance(heic, bool):
            raise Refused(f"{path}: heic = {heic!r}; give true or false")
        plan = cls(stack, region, parameters | ({"Mode": "transient"} if transient else {}), heic)
        if lanes.of_emr(plan.release) is None:
            tested = " or ".join(sorted(lane.emr for lane in lanes.LANES.values() if lane.emr))
            raise Refused(f"{path}: ReleaseLabel {plan.release!r} was not tested; give {tested}")
        return plan

    @property
    def architecture(self) -> str:
        """The processor architecture of the nodes."""
        return "aarch64" if GRAVITON.match(self.instance_type) else "x86_64"

    @property
    def extras(self) -> str:
        """Of fruitpipe, on the nodes: `see` has the libraries that the refit's report is made with."""
        return "see,metrics,heic" if self.heic else "see,metrics"

    @property
    def release(self) -> str:
        """Of EMR."""
        return self.parameters.get("ReleaseLabel", RELEASE)

    @property
    def instance_type(self) -> str:
        return self.parameters.get("InstanceType", "m5.xlarge")

    @property
    def endpoints(self) -> dict[str, str]:
        """What the nodes need a way to, unless the file says so itself."""
        return {"KmsEndpoint": "yes" if OWN_DISKS.match(self.instance_type) else "no"}
