"""The lanes: the tested combinations of Spark, Delta, Hadoop and Java versions, in one table.

Jars, the search for a Java, the pins of `make LANE=…`, doctor and a cluster's packages read it. The lane of a virtual environment
follows from its pyspark and delta-spark. Of Delta the jobs use public names alone, so a cluster's own Delta may be another.
"""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import NamedTuple

from fruitpipe.errors import MissingRequirement

SCALA = "2.13"  # of every Spark 4
OLDEST_JAVA = 17
STREAMING = "org.apache.spark.sql.execution.streaming"
CHECKPOINTING = f"{STREAMING}.checkpointing"


class Lane(NamedTuple):
    """One combination of versions.

    newest_java: Java 24 removed the security manager's subjects, which Hadoop needs before 3.5. artifact: Delta's in Maven, whose
    name has Spark's version from 4.1 on. checkpoints: the Java package with a stream's checkpoint files, which Spark 4.1 moved.
    emr: the release of EMR that has these versions, if there is one.
    """

    name: str
    spark: str
    delta: str
    delta_java: str
    hadoop: str
    newest_java: int
    artifact: str
    checkpoints: str
    emr: str = ""

    @property
    def delta_jar(self) -> str:
        """The Maven coordinate of Delta."""
        return f"io.delta:{self.artifact}_{SCALA}:{self.delta_java}"

    @property
    def s3a_jar(self) -> str:
        """The Maven coordinate of S3A; some 600 MB with the AWS SDK."""
        return f"org.apache.hadoop:hadoop-aws:{self.hadoop}"

    @property
    def pins(self) -> list[str]:
        """The requirements that pip installs for it."""
        return [f"pyspark=={self.spark}", f"delta-spark=={self.delta}"]


DEFAULT = "spark-4.1"
LANES = {
    lane.name: lane
    for lane in (
        Lane("spark-4.0", "4.0.2", "4.0.1", "4.0.1", "3.4.1", 23, "delta-spark", STREAMING),
        Lane("spark-4.1", "4.1.1", "4.2.0", "4.2.0", "3.4.2", 23, "delta-spark_4.1", CHECKPOINTING, "emr-spark-8.1.0"),
        Lane("spark-4.2", "4.2.0", "4.4.1", "4.4.0", "3.5.0", 25, "delta-spark_4.2", CHECKPOINTING),  # Maven has no Delta 4.4.1
        Lane("emr-8.0", "4.0.2", "4.0.0", "4.0.0", "3.4.1", 23, "delta-spark", STREAMING, "emr-spark-8.0.0"),
    )
}


def current() -> Lane:
    """The lane of this environment. Raises MissingRequirement where its pyspark and delta-spark are no tested pair."""
    spark, delta = _installed("pyspark"), _installed("delta-spark")
    for lane in LANES.values():
        if _series(spark) == _series(lane.spark) and delta == lane.delta:
            return lane
    pairs = ", ".join(f"{lane.spark} with {lane.delta}" for lane in LANES.values())
    raise MissingRequirement(
        f"pyspark {spark} with delta-spark {delta} is not a tested pair ({pairs}); "
        f"run: pip install {' '.join(LANES[DEFAULT].pins)}"
    )


def of_spark(version: str) -> Lane | None:
    """The lane of a running Spark, as ``4.1.1-amzn-0``, with any Delta; None where none was tested with it."""
    return next((lane for lane in LANES.values() if _series(version) == _series(lane.spark)), None)


def of_emr(release: str) -> Lane | None:
    """The lane of a release of EMR, as ``emr-spark-8.1.0``; None for one that was not tested."""
    return next((lane for lane in LANES.values() if lane.emr and lane.emr == release), None)


def constraints(lane: Lane, default: str) -> str:
    """The text of a lane's constraints file: that of the `default` one, with the lane's pins."""
    pins = {pin.partition("==")[0]: pin for pin in lane.pins}
    lines = (pins.get(line.partition("==")[0], line) for line in default.splitlines())
    return "\n".join(lines) + "\n"


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingRequirement(f"{package} is not installed; run: pip install 'fruitpipe[spark]'") from error


def _series(version: str) -> list[str]:
    """Major and minor version: ``4.0.5`` and ``4.0.2`` are one series, as patches change no interface."""
    return version.split(".")[:2]


if __name__ == "__main__":  # without arguments: the names of the lanes beside the default
    if len(sys.argv) == 1:
        sys.stdout.write(" ".join(name for name in LANES if name != DEFAULT) + "\n")
        sys.exit()
    wanted, file = sys.argv[1:]
    if wanted not in LANES:
        sys.exit(f"error: there is no lane {wanted}; choose one of {', '.join(LANES)}")
    sys.stdout.write(constraints(LANES[wanted], Path(file).read_text(encoding="utf-8")))
