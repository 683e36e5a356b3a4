"""Spark's Python daemon whose workers save after each task what was measured: one that waits for a task ends by a signal."""

from __future__ import annotations

import coverage
from pyspark import daemon

run_task = daemon.worker_main


def run_task_and_save(*streams):
    try:
        run_task(*streams)
    finally:
        if measuring := coverage.Coverage.current():
            measuring.save()


if __name__ == "__main__":
    daemon.worker_main = run_task_and_save
    daemon.manager()
