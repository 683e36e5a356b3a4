"""Cores that a process may use by its control groups, as the kernel's documentation has their files."""

import math

import pytest

from fruitpipe.runtime import cores


@pytest.fixture
def granted(tmp_path):
    """What is granted by files under a mount of control groups, to a process whose groups are told by lines."""

    def of(lines, files):
        (tmp_path / "groups").write_text("".join(f"{line}\n" for line in lines))
        for name, text in files.items():
            file = tmp_path / "mount" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")
        return cores.quota(tmp_path / "groups", tmp_path / "mount")

    return of


def older(group, granted, period=100_000):
    """The files of a group of version 1."""
    return {f"cpu/{group}cpu.cfs_quota_us": granted, f"cpu/{group}cpu.cfs_period_us": period}


@pytest.mark.parametrize(
    ("lines", "files", "wanted"),
    [
        (["0::/"], {"cpu.max": "200000 100000"}, 2),
        (["0::/"], {"cpu.max": "max 100000"}, math.inf),
        (["0::/"], {}, math.inf),
        (["0::/system.slice/a.service"], {"system.slice/a.service/cpu.max": "150000 100000"}, 1.5),
        (["0::/a/b"], {"a/cpu.max": "50000 100000", "a/b/cpu.max": "300000 100000"}, 0.5),
        (["0::/a/b"], {"a/c/cpu.max": "50000 100000"}, math.inf),
        (["4:cpu,cpuacct:/", "0::/"], older("", 400_000), 4),
        (["4:cpuacct,cpu:/a"], older("a/", -1), math.inf),
        (["4:cpu:/docker/1"], older("", 100_000, period=50_000), 2),
        (["5:cpuset:/"], older("", 100_000), math.inf),
    ],
)
def test_the_least_quota_of_a_group_and_those_above_counts(granted, lines, files, wanted):
    assert granted(lines, files) == wanted


def test_where_there_are_no_control_groups_nothing_is_bounded(tmp_path):
    assert cores.quota(tmp_path / "groups", tmp_path / "mount") == math.inf


@pytest.mark.parametrize(("granted_cores", "wanted"), [(0.2, 1), (0.5, 1), (1, 1)])
def test_a_part_of_a_core_is_one(monkeypatch, granted_cores, wanted):
    monkeypatch.setattr(cores, "quota", lambda: granted_cores)
    assert cores.usable_cores() == wanted
