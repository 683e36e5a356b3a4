"""Whether this process is a job that was submitted to a cluster. Needs no pyspark."""

from __future__ import annotations

import os


def is_submitted() -> bool:
    """Whether spark-submit started this process. Such a job must open a session, or the cluster counts it as failed."""
    return "PYSPARK_GATEWAY_PORT" in os.environ
