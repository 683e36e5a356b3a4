"""The tables of docs/costs.md: what a million images cost, and what a day costs, from the factors named here.

Usage: python benchmarks/costs.py [--images-per-second 107] [--vcpu 0.6] [--euro 0.90]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

M7G = 0.248  # dollars an hour of an m7g.xlarge with EMR's surcharge and its disk


@dataclass(frozen=True)
class Factors:
    """Dollars are list prices of eu-west-1, on demand, without tax."""

    images_per_second: float = 107  # a core of the measuring machine: 214 with both, from S3 to the commit
    vcpu: float = 0.6  # of such a core that an m5's vCPU, half of a core with two threads, is worth: an assumption
    euro: float = 0.90  # euros a dollar, as in the notebook's 23.6 euros
    cores: int = 6  # 2 core nodes with an executor of 3 cores each
    nodes: int = 3
    ec2: float = 0.214  # m5.xlarge, dollars an hour
    emr: float = 0.048  # EMR's surcharge on it
    ebs: float = 0.0077  # 64 GB of gp3 a node
    start_minutes: float = 10  # of a transient cluster: start, bootstrap, four jobs that start Spark
    get_per_million: float = 0.40  # one GET an image
    event_per_million: float = 0.55  # SQS (sent, received, deleted) and Lambda in batches
    storage_gb: float = 0.023  # a month
    row_kb: float = 3.5  # features and scalar columns, compressed
    reduced_kb: float = 2.3  # k = 542 as float32
    versions: int = 14  # that the template's schedule keeps
    refit_core_seconds: float = 90e-6  # a row, read, reduced with k = 542 and checked
    refit_start_seconds: float = 40

    @property
    def rate(self) -> float:
        """Images a second of the cluster."""
        return self.images_per_second * self.vcpu * self.cores

    @property
    def hour(self) -> float:
        """Dollars an hour of the cluster."""
        return self.nodes * (self.ec2 + self.emr + self.ebs)

    def compute(self, images: float) -> float:
        return images / self.rate / 3600 * self.hour

    def refit(self, rows: float) -> float:
        return (rows * self.refit_core_seconds / self.cores + self.refit_start_seconds) / 3600 * self.hour


def million(f: Factors) -> list[str]:
    """A line a factor, in euros for a million images."""
    storage = (f.row_kb + f.reduced_kb) * 1e6 / 1e6 * f.storage_gb
    kept_gb = (f.versions - 1) * f.reduced_kb
    lines = {
        f"featurising: 1,000,000 / {f.rate:.0f} images/s x ${f.hour:.3f} an hour": f.compute(1e6),
        "reading: one GET an image": f.get_per_million,
        "events: SQS and Lambda": f.event_per_million,
        f"one refit of 1,000,000 rows: {f.refit_start_seconds:.0f} s + 90 µs a row on {f.cores} cores": f.refit(1e6),
        f"storage of rows and reduced features, a month: {f.row_kb + f.reduced_kb:.1f} GB": storage,
        f"the {f.versions - 1} earlier versions that the schedule keeps, a month: {kept_gb:.0f} GB": kept_gb * f.storage_gb,
    }
    table = [f"| {name} | {cost * f.euro:.2f} € |" for name, cost in lines.items()]
    return [*table, f"| **together** | **{sum(lines.values()) * f.euro:.2f} €** |"]


def days(f: Factors) -> list[str]:
    """A line an amount of images a day: long-lived, and transient with a run a day and a run an hour, in euros a day."""
    rows = []
    for images in (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
        work = f.compute(images)
        daily, hourly = (runs * f.start_minutes / 60 * f.hour + work for runs in (1, 24))
        rows.append(f"| {images:,} | {24 * f.hour * f.euro:.2f} € | {daily * f.euro:.2f} € | {hourly * f.euro:.2f} € |")
    return rows


def machines(f: Factors) -> list[str]:
    """A line a kind of node: dollars an hour, euros a day, and euros a million images where a vCPU does as many."""
    rows = []
    for name, architecture, node in (("m5.xlarge", "x86-64", f.hour / f.nodes), ("m7g.xlarge", "aarch64", M7G)):
        hour = f.nodes * node
        million = 1e6 / f.rate / 3600 * hour * f.euro
        rows.append(f"| {name} | {architecture} | ${node:.3f} | {24 * hour * f.euro:.2f} € | {million:.2f} € |")
    return rows


def break_even(f: Factors) -> list[str]:
    """A line a number of runs a day: from how many images a day on the long-lived cluster is no dearer."""
    rows = []
    for runs, said in ((1, "once a day"), (24, "every hour"), (48, "every 30 minutes"), (96, "every 15 minutes")):
        hours = 24 - runs * f.start_minutes / 60
        rows.append(f"| {said} | {runs * f.start_minutes / 60:.1f} h | {hours * 3600 * f.rate / 1e6:.1f} million images a day |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("images-per-second", "vcpu", "euro"):
        parser.add_argument(f"--{name}", type=float, default=getattr(Factors, name.replace("-", "_")))
    factors = Factors(**vars(parser.parse_args()))
    for table in (million, days, break_even, machines):
        print("\n".join([*table(factors), ""]))


if __name__ == "__main__":
    main()
