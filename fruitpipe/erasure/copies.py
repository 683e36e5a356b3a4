"""Decides what an erasure's record says of each copy, list and log that AWS makes of images by itself. It asks nobody.

Each is an entry of the record: what was asked, what was answered, its state, until when, and what is the user's to do. Commands
name no image, as the record must not: KEY, VERSION and UPLOAD stand for what the command before them lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from fruitpipe.objects.bucket_settings import Rule, Setting, Table, Target

State = Literal["off", "cleaned", "expires", "to do", "unknown"]

LATE_DAYS = 2  # S3 counts a rule's days from the next midnight, and delivers logs and expires records hours late, up to two days
ROOT_DAYS = 7  # that noncurrent versions stay under a root that has no rule for them, as by the template
LOG_NAME = "20??-??-??-??-??-??-*"  # behind the prefix, and folders for account, region, bucket and day where those are asked for
JOURNAL = '{"RecordExpiration":{"Expiration":"ENABLED","Days":7}}'  # the fewest days that S3 takes


class Verdict(NamedTuple):
    """The state of a copy, what is to be done about it, and the day (ISO 8601) on which it is gone by a rule."""

    state: State
    to_do: str = "nothing"
    until: str = ""


class Life(NamedTuple):
    """How long what S3 puts somewhere stays there. days: None where no rule is known by which it goes."""

    days: int | None
    keeps_versions: bool


@dataclass(frozen=True)
class Asked:
    """What a bucket answered, and what an erasure left in it.

    images: what the keys of the images in it begin with, root: the key of the root; None where none of it lies there. lives: of
    the targets of its settings. uploads: how many of the images' are incomplete, or why that is unknown. remains: whether objects
    of the images stay.
    """

    bucket: str
    settings: Mapping[str, Setting]
    images: str | None
    root: str | None
    lives: Mapping[Target, Life]
    uploads: int | str
    remains: bool
    today: date

    @property
    def keys(self) -> list[str]:
        return [key for key in (self.images, self.root) if key is not None]

    def after(self, days: int) -> str:
        """The day on which what is there today is gone, where a rule removes it after so many days."""
        return (self.today + timedelta(days=days + LATE_DAYS)).isoformat()


def entries(asked: Asked) -> Iterator[dict[str, str]]:
    """The entries for one bucket. What holds names alone is left out where no images lie: keys under a root name none."""
    for name, decide in FACILITIES.items():
        if asked.images is not None or name not in OF_NAMES:
            setting = asked.settings[name]
            yield entry(
                f"{name} of the bucket {asked.bucket}", setting.operation, setting.answer, _verdict(setting, asked, decide)
            )
    if asked.images is not None:
        answer = asked.uploads if isinstance(asked.uploads, str) else f"{asked.uploads or 'none'} of the images"
        yield entry(f"incomplete uploads of the bucket {asked.bucket}", "ListMultipartUploads", answer, _uploads(asked))


def entry(what: str, operation: str, answer: str, verdict: Verdict) -> dict[str, str]:
    """An entry of the record."""
    return {"what": what, "asked": operation, "answer": answer, **verdict._asdict()}


def life(of_target: Mapping[str, Setting], prefixes: Sequence[str]) -> Life:
    """How long objects stay whose keys begin with `prefixes`, by versions and lifecycle of the bucket that holds them."""
    keeps_versions = of_target["versions"].answer != "off"
    rules: tuple[Rule, ...] = of_target["lifecycle"].found
    longest = 0
    for prefix in prefixes:
        days, noncurrent = _first(rules, prefix, "days"), _first(rules, prefix, "noncurrent_days")
        if days is None or (keeps_versions and noncurrent is None):
            return Life(None, keeps_versions)
        longest = max(longest, days + (noncurrent or 0 if keeps_versions else 0))
    return Life(longest, keeps_versions)


def _first(rules: Sequence[Rule], prefix: str, kind: str) -> int | None:
    """After how many days the first of the rules for all keys with this prefix applies, by the name of its field."""
    ours = [rule for rule in rules if rule.prefix is not None and prefix.startswith(rule.prefix)]
    return min((days for rule in ours if (days := getattr(rule, kind)) is not None), default=None)


def _verdict(setting: Setting, asked: Asked, decide: Callable[[Setting, Asked], Verdict]) -> Verdict:
    if setting.answer.startswith("unknown"):
        command = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", setting.operation).lower()
        return Verdict("unknown", f"ask it by a role that may: aws s3api {command} --bucket {asked.bucket}")
    return decide(setting, asked) if setting.answer != "off" or decide is _lifecycle else Verdict("off")


def _versions(_: Setting, asked: Asked) -> Verdict:
    if not asked.remains:
        return Verdict("cleaned")
    return Verdict(
        "to do", f"`remaining` says why some stay: aws s3api list-object-versions --bucket {asked.bucket} --prefix KEY"
    )


def _lock(_: Setting, asked: Asked) -> Verdict:
    if not asked.remains:
        return Verdict("cleaned")  # no version was locked
    retention = f"aws s3api get-object-retention --bucket {asked.bucket} --key KEY --version-id VERSION"
    return Verdict("to do", f"`remaining` names those that are locked; until when: {retention}")


def _lifecycle(setting: Setting, asked: Asked) -> Verdict:
    """Of files under the root that are removed later, as of a refit that may not publish, a bucket with versions keeps one."""
    if asked.settings["versions"].answer == "off":
        return Verdict("off")
    if asked.root is None:
        return Verdict("cleaned")
    if (days := _first(setting.found, asked.root, "noncurrent_days")) is not None:
        return Verdict("expires", until=asked.after(days))
    rule = {
        "ID": "noncurrent-versions",
        "Status": "Enabled",
        "Filter": {"Prefix": asked.root},
        "NoncurrentVersionExpiration": {"NoncurrentDays": ROOT_DAYS},
    }
    if setting.answer == "off":
        rules = json.dumps({"Rules": [rule]}, separators=(",", ":"))
        put = f"aws s3api put-bucket-lifecycle-configuration --bucket {asked.bucket} --lifecycle-configuration '{rules}'"
        return Verdict("to do", put)
    there = f"aws s3api get-bucket-lifecycle-configuration --bucket {asked.bucket}"
    return Verdict("to do", f"add the rule {json.dumps(rule)} to those that are there: {there}")


def _targets(setting: Setting, asked: Asked, command: Callable[[Target, Life], str]) -> Verdict:
    """Of logs, lists and replicas: they expire, or are the user's to remove, by `command`."""
    lives = {one: asked.lives[one] for one in setting.found if any(_meet(one.of, key) for key in asked.keys)}
    if not lives:
        return Verdict("off", "nothing: it is for other keys")
    staying = {one: life for one, life in lives.items() if life.days is None}
    commands = "; ".join(command(one, life) for one, life in (staying or lives).items())
    if staying:
        return Verdict("to do", commands)
    return Verdict("expires", f"nothing; sooner: {commands}", asked.after(max(life.days or 0 for life in lives.values())))


def _meet(prefix: str, key: str) -> bool:
    """Whether a key below one of the two prefixes may be below the other as well."""
    return prefix.startswith(key) or key.startswith(prefix)


def _removal(target: Target, life: Life) -> str:
    if not life.keeps_versions:
        return f"aws s3 rm --recursive {target}"
    named = f"aws s3api list-object-versions --bucket {target.bucket} --prefix '{target.prefix}'"
    return f"{named}, then aws s3api delete-object --bucket {target.bucket} --key KEY --version-id VERSION for each"


def _logs(setting: Setting, asked: Asked) -> Verdict:
    return _targets(
        setting, asked, lambda target, life: f"{_removal_of_logs(target, life)}, two days from now, as logs come late"
    )


def _removal_of_logs(target: Target, life: Life) -> str:
    """Removes what has a log's name alone: whatever lies in that bucket may have the prefix as well, the images among it."""
    folder, slash, beginning = target.prefix.rpartition("/")
    pattern = f"{beginning}*{LOG_NAME}"
    if not life.keeps_versions:
        there = target._replace(prefix=f"{folder}{slash}")
        return f"aws s3 rm --recursive {there} --exclude '*' --include '{pattern}'"
    listed = f"aws s3api list-object-versions --bucket {target.bucket} --prefix '{target.prefix}'"
    delete = f"aws s3api delete-object --bucket {target.bucket} --key KEY --version-id VERSION"
    return f"{listed}, then for each KEY like '{folder}{slash}{pattern}' {delete}"


def _inventory(setting: Setting, asked: Asked) -> Verdict:
    return _targets(setting, asked, _removal)


def _replicas(setting: Setting, asked: Asked) -> Verdict:
    """S3 does not replicate that a version was deleted."""
    return _targets(setting, asked, lambda target, _: _removal(target._replace(prefix="KEY"), Life(None, keeps_versions=True)))


def _metadata(setting: Setting, asked: Asked) -> Verdict:
    """The live tables lose a row with its object; only the journal keeps names, and for ever, unless its records expire."""
    tables: tuple[Table, ...] = setting.found
    gone = [f"aws s3api delete-bucket-metadata-configuration --bucket {asked.bucket}"]
    gone += [_table_removal(table) for table in tables if all(table.place)]
    if any(table.kind == "journal" and table.days is None for table in tables):
        expire = f"aws s3api update-bucket-metadata-journal-table-configuration --bucket {asked.bucket}"
        expiring = f"{expire} --journal-table-configuration '{JOURNAL}'"
        return Verdict("to do", f"{expiring}; or at once, with the tables: {' && '.join(gone)}")
    return Verdict("expires", f"nothing; sooner: {' && '.join(gone)}", asked.after(max(table.days or 0 for table in tables)))


def _table_removal(table: Table) -> str:
    arn, namespace = table.place
    return f"aws s3tables delete-table --table-bucket-arn {arn} --namespace {namespace} --name {table.name}"


def _uploads(asked: Asked) -> Verdict:
    listed = f"aws s3api list-multipart-uploads --bucket {asked.bucket} --prefix KEY"
    if isinstance(asked.uploads, str):
        return Verdict("unknown", f"ask it by a role that may: {listed}")
    if not asked.uploads:
        return Verdict("cleaned")
    abort = f"{listed}, then aws s3api abort-multipart-upload --bucket {asked.bucket} --key KEY --upload-id UPLOAD"
    days = _first(asked.settings["lifecycle"].found, asked.images or "", "upload_days")
    return Verdict("to do", abort) if days is None else Verdict("expires", f"nothing; sooner: {abort}", asked.after(days))


FACILITIES: dict[str, Callable[[Setting, Asked], Verdict]] = {
    "versions": _versions,
    "object lock": _lock,
    "lifecycle": _lifecycle,
    "access logs": _logs,
    "replicas": _replicas,
    "inventory reports": _inventory,
    "metadata tables": _metadata,
}
OF_NAMES = {"access logs", "inventory reports", "metadata tables"}
