"""What a record says of copies, lists and logs that AWS makes by itself: a table of answers and of what follows from them."""

from __future__ import annotations

import re
from datetime import date

import botocore.session
import pytest
from botocore import xform_name

from fruitpipe.erasure import copies, elsewhere
from fruitpipe.erasure.copies import Life
from fruitpipe.objects.bucket_settings import SETTINGS, Rule, Setting, Table, Target

TODAY = date(2026, 11, 30)
LOGS, COPY = Target("logs", "fruit/"), Target("copy", "", "in/")
LISTS = Target("lists", "fruits/all/")
JOURNAL = Table("journal", "journal", None, ("arn:aws:s3tables:eu-west-1:1:bucket/aws-s3", "b_fruits"))
COMMAND = re.compile(r"aws (s3api|s3tables|cloudtrail|backup) ([a-z0-9-]+)((?: --[a-z-]+ (?:'[^']*'|[^\s,;:]+))*)")


def setting(name, answer="off", *found):
    return Setting(name, SETTINGS[name][0], answer, found)


def asked(*on, **changed):
    """A bucket of images and root, where only the settings in `on` are on."""
    given = {
        "bucket": "fruits",
        "settings": {name: setting(name) for name in SETTINGS} | {one.name: one for one in on},
        "images": "in/",
        "root": "root/",
        "lives": {one: Life(None, keeps_versions=False) for one in (LOGS, COPY, LISTS)},
        "uploads": 0,
        "remains": False,
        "today": TODAY,
    }
    return copies.Asked(**given | changed)


def lines(*on, **changed):
    return {one["what"].partition(" of the bucket ")[0]: one for one in copies.entries(asked(*on, **changed))}


def told(name, *on, **changed):
    line = lines(*on, **changed)[name]
    return line["state"], line["until"]


def test_nothing_is_to_do_where_nothing_is_on():
    assert {name: (one["state"], one["to_do"]) for name, one in lines().items()} == {
        **dict.fromkeys(SETTINGS, ("off", "nothing")),
        "incomplete uploads": ("cleaned", "nothing"),
    }


@pytest.mark.parametrize("name", SETTINGS)
def test_what_may_not_be_asked_is_unknown_with_the_question(name):
    line = lines(setting(name, "unknown: AccessDenied"))[name]
    assert line["state"] == "unknown"
    assert COMMAND.search(line["to_do"])


VERSIONS = setting("versions", "on: Enabled", "Enabled")
LOGGED, LISTED = setting("access logs", "on", LOGS), setting("inventory reports", "on", LISTS)
WEEK = Rule("week", "", days=7, noncurrent_days=3, upload_days=5)


@pytest.mark.parametrize(
    ("name", "on", "changed", "expected"),
    [
        ("versions", [VERSIONS], {}, ("cleaned", "")),
        ("versions", [VERSIONS], {"remains": True}, ("to do", "")),
        ("object lock", [setting("object lock", "on: governance", "governance")], {}, ("cleaned", "")),
        ("object lock", [setting("object lock", "on: governance", "governance")], {"remains": True}, ("to do", "")),
        ("lifecycle", [VERSIONS, setting("lifecycle", "on: week", WEEK)], {}, ("expires", "2026-12-05")),
        ("lifecycle", [VERSIONS, setting("lifecycle", "on: week", WEEK._replace(prefix="in/"))], {}, ("to do", "")),
        ("lifecycle", [VERSIONS, setting("lifecycle", "on: week", WEEK._replace(prefix=None))], {}, ("to do", "")),
        ("lifecycle", [VERSIONS], {}, ("to do", "")),
        ("lifecycle", [VERSIONS], {"root": None}, ("cleaned", "")),
        ("access logs", [LOGGED], {}, ("to do", "")),
        ("access logs", [LOGGED], {"lives": {LOGS: Life(30, False)}}, ("expires", "2027-01-01")),
        ("replicas", [setting("replicas", "on", COPY)], {}, ("to do", "")),
        ("replicas", [setting("replicas", "on", COPY._replace(of="other/"))], {}, ("off", "")),
        ("inventory reports", [LISTED], {}, ("to do", "")),
        ("inventory reports", [LISTED], {"lives": {LISTS: Life(0, True)}}, ("expires", "2026-12-02")),
        ("metadata tables", [setting("metadata tables", "on", JOURNAL)], {}, ("to do", "")),
        ("metadata tables", [setting("metadata tables", "on", JOURNAL._replace(days=7))], {}, ("expires", "2026-12-09")),
        ("metadata tables", [setting("metadata tables", "on", Table("inventory", "inventory"))], {}, ("expires", "2026-12-02")),
        ("incomplete uploads", [], {"uploads": 2}, ("to do", "")),
        ("incomplete uploads", [setting("lifecycle", "on: week", WEEK)], {"uploads": 2}, ("expires", "2026-12-07")),
        ("incomplete uploads", [], {"uploads": "unknown: AccessDenied"}, ("unknown", "")),
    ],
)  # fmt: skip
def test_each_is_cleaned_or_expires_on_a_day_or_is_to_do(name, on, changed, expected):
    assert told(name, *on, **changed) == expected


@pytest.mark.parametrize(
    ("prefix", "where", "pattern"),
    [
        ("", "s3://logs/", "*20??-??-??-??-??-??-*"),
        ("fruit/", "s3://logs/fruit/", "*20??-??-??-??-??-??-*"),
        ("of/fruit-", "s3://logs/of/", "fruit-*20??-??-??-??-??-??-*"),
    ],
)
def test_logs_are_removed_by_their_names_as_other_things_may_have_the_prefix(prefix, where, pattern):
    target = Target("logs", prefix)
    on = setting("access logs", "on", target)
    said = lines(on, lives={target: Life(None, keeps_versions=False)})["access logs"]["to_do"]
    assert said.startswith(f"aws s3 rm --recursive {where} --exclude '*' --include '{pattern}', two days from now")
    of_versions = lines(on, lives={target: Life(None, keeps_versions=True)})["access logs"]["to_do"]
    assert f"--prefix '{prefix}', then for each KEY like '{where.removeprefix('s3://logs/')}{pattern}'" in of_versions


def test_of_several_logs_those_alone_are_to_do_that_do_not_expire_and_the_last_day_counts():
    both = setting("inventory reports", "on", LISTS, LOGS)
    stays = lines(both, lives={LISTS: Life(7, False), LOGS: Life(None, False)})["inventory reports"]
    assert (stays["state"], stays["to_do"]) == ("to do", "aws s3 rm --recursive s3://logs/fruit/")
    assert told("inventory reports", both, lives={LISTS: Life(7, False), LOGS: Life(20, False)}) == ("expires", "2026-12-22")


@pytest.mark.parametrize(
    ("versions", "rules", "expected"),
    [
        ("off", [WEEK], 7),
        ("on: Suspended", [WEEK], 10),
        ("unknown: AccessDenied", [WEEK], 10),
        ("on: Enabled", [WEEK._replace(noncurrent_days=None)], None),
        ("on: Enabled", [WEEK._replace(days=None)], None),
        ("off", [WEEK._replace(prefix="fruit")], 7),
        ("off", [WEEK._replace(prefix="fruit/of/may")], None),
        ("off", [WEEK._replace(prefix=None)], None),
        ("off", [WEEK, Rule("day", "fruit/", days=1)], 1),
        ("off", [], None),
    ],
)
def test_logs_live_as_long_as_the_first_rule_for_all_of_them_and_their_versions_let_them(versions, rules, expected):
    found = {"versions": setting("versions", versions), "lifecycle": setting("lifecycle", "on", *rules)}
    assert copies.life(found, ["fruit/"]).days == expected


def test_replicas_of_images_and_root_are_gone_when_both_are():
    rules = [Rule("images", "in/", days=2), Rule("root", "root/", days=9)]
    found = {"versions": setting("versions"), "lifecycle": setting("lifecycle", "on", *rules)}
    assert copies.life(found, ["in/", "root/"]).days == 9
    assert copies.life(found | {"lifecycle": setting("lifecycle", "on", rules[0])}, ["in/", "root/"]).days is None


def test_a_bucket_of_the_root_alone_has_no_lines_about_names_as_its_keys_are_none():
    assert set(lines(images=None)) == {"versions", "object lock", "lifecycle", "replicas"}


def every_sentence():
    everything = [
        VERSIONS,
        setting("object lock", "on: governance", "governance"),
        setting("access logs", "on", LOGS),
        setting("replicas", "on", COPY),
        setting("inventory reports", "on", LISTS),
        setting("metadata tables", "on", JOURNAL),
    ]
    unknown = [setting(name, "unknown: AccessDenied") for name in SETTINGS]
    lives = {LOGS: Life(3, False), LISTS: Life(None, True), COPY: Life(None, True)}
    said = [
        *lines(*everything, remains=True, uploads=2).values(),
        *lines(*everything, setting("lifecycle", "on", Rule("x", "in/")), lives=lives).values(),
        *lines(*unknown, uploads="unknown: AccessDenied").values(),
        *elsewhere._of_other_services(["fruits"]),
    ]
    return [one["to_do"] for one in said]


def test_every_command_and_its_options_are_the_clis():
    commands = {found.groups() for said in every_sentence() for found in COMMAND.finditer(said)}
    assert len(commands) > 15
    for service, name, options in commands:
        model = botocore.session.get_session().get_service_model("s3" if service == "s3api" else service)
        operations = {xform_name(one, "-"): one for one in model.operation_names}
        members = {xform_name(one, "-") for one in model.operation_model(operations[name]).input_shape.members}
        assert set(re.findall(r"--([a-z-]+)", re.sub(r"'[^']*'", "", options))) <= members, (service, name)
