"""Where an app is written, what of earlier ones stays and what goes, and what the command says."""

from __future__ import annotations

import pytest

from fruitpipe import cli, objects
from fruitpipe.app import folder, litert, shell
from fruitpipe.app import place as places
from fruitpipe.errors import AccessDenied, Conflict, Damaged, WrongUsage
from fruitpipe.export import register
from fruitpipe.pictures import naming
from fruitpipe.pictures.naming import Naming
from fruitpipe.refit import publication
from tests import networks
from tests.apps import LABELS, write
from tests.versions import publish_pictures

RUNTIME = {"index.js": b"1", "litert_wasm_internal.wasm": b"22", "litert_wasm_compat_internal.wasm": b"333"}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A small one: a place is the same for all."""
    model = networks.for_apps()
    with networks.in_place_of_ours(tmp_path_factory.mktemp("network") / "network.tflite", model):
        yield model


@pytest.fixture
def publish_again(root, tmp_path, network):
    """One more version, of all images."""
    return lambda: publish_pictures(root, sorted((tmp_path / "images").rglob("*.jpg")), model=network)


def test_the_folder_before_stays_for_those_who_have_it_open_and_older_ones_go(root, place, monkeypatch):
    folders = []
    for number in range(3):
        monkeypatch.setattr(litert, "files", lambda number=number: RUNTIME | {"index.js": b"%d" % number})
        folders.append(write(root, place).app.folder)
        (place / folders[-1] / "opened").touch()
    assert sorted(path.name for path in place.iterdir() if path.is_dir()) == sorted(folders[1:])
    assert [app.folder for app in register.every(root)] == folders[1:]


def test_what_was_made_of_a_withdrawn_version_goes_with_the_next(root, place, publish_again):
    first = write(root, place).app
    publish_again()
    publication.withdraw(root, ["v000001"])
    assert register.withdrawn(root) == [first]
    second = write(root, place).app
    assert (second.version, register.every(root)) == ("v000002", [second])
    assert not (place / first.folder).exists()


def withdraw_meanwhile(monkeypatch, root):
    """Withdraws the second version as soon as its app is listed."""
    add = register.add

    def withdrawing(*given):
        add(*given)
        publication.withdraw(root, ["v000002"])

    monkeypatch.setattr(register, "add", withdrawing)


def test_a_version_that_is_withdrawn_meanwhile_is_not_left_behind(root, place, monkeypatch, publish_again):
    publish_again()
    withdraw_meanwhile(monkeypatch, root)
    with pytest.raises(Conflict, match="v000002 was withdrawn or replaced meanwhile"):
        write(root, place)
    assert not [path for path in place.iterdir() if path.is_dir()]
    assert register.every(root) == []


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("root", "lies in the root"),
        ("root/models", "lies in the root"),
        ("root/../images/app", "lies among the images"),
        ("", "holds images/, root/, which fruitpipe app did not write"),
    ],
)
def test_an_app_is_not_put_among_other_things(root, tmp_path, where, message):
    naming.keep(root, Naming(prefixes=(f"file://{tmp_path}/images",)))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(WrongUsage, match=message):
        write(root, tmp_path / where)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("link/app", "lies in the root"),
        ("pictures/app", "lies among the images"),
        ("other/www", "lies in the root file://.*/other, which"),
        ("site", "holds index.html, which fruitpipe app did not write"),
        ("shop", "v000001-0123456789abcdef is no app of .*, but another root's or cut"),
    ],
)
def test_an_app_is_not_put_where_a_link_leads_or_somebody_elses_lies(root, tmp_path, where, message):
    naming.keep(root, Naming(prefixes=(f"file://{tmp_path}/images",)))
    (tmp_path / "link").symlink_to(tmp_path / "root")
    (tmp_path / "pictures").symlink_to(tmp_path / "images")
    theirs = ("other/reduced/latest.json", "site/index.html", "shop/v000001-0123456789abcdef/contract.json")
    for name in theirs:
        objects.write(f"file://{tmp_path}/{name}", b'{"root": "0123456789abcdef"}')
    with pytest.raises(WrongUsage, match=message):
        write(root, tmp_path / where)
    assert all((tmp_path / name).read_bytes() == b'{"root": "0123456789abcdef"}' for name in theirs)
    assert register.every(root) == []


def test_what_others_put_beside_an_app_stays_and_is_no_hindrance(root, place):
    place.mkdir()
    for name in (".nojekyll", "CNAME", "_headers"):
        (place / name).touch()
    write(root, place)
    (place / "notes.txt").touch()
    write(root, place, title="Again")
    assert {".nojekyll", "CNAME", "_headers", "notes.txt"} <= {path.name for path in place.iterdir()}


def test_folders_of_the_root_whose_list_was_lost_are_listed_again_and_removed_as_ever(root, place, tmp_path, publish_again):
    first = write(root, place).app
    (tmp_path / "root" / "models" / register.FILE).unlink()
    publish_again()
    publication.withdraw(root, ["v000001"])
    second = write(root, place).app
    assert not (place / first.folder).exists()
    assert register.every(root) == [second]


def test_an_app_is_taken_away_though_nothing_is_published_any_more(root, place, capsys):
    app = write(root, place).app
    (place / "CNAME").touch()
    publication.withdraw(root, ["v000001"])
    with pytest.raises(SystemExit) as ended:
        cli.main(["app", "--root", root, str(place), "--remove"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"{app.place}: 1 folders removed")
    assert sorted(path.name for path in place.iterdir()) == ["CNAME", "sw.js"]
    assert "registration.unregister()" in (place / "sw.js").read_text()
    assert register.every(root) == []
    with pytest.raises(WrongUsage, match=r"app holds no app of .*/root; its apps lie at: none"):
        places.take_away(root, app.place)


def test_after_it_was_taken_away_an_app_may_be_put_there_again(root, place):
    places.take_away(root, write(root, place).app.place)
    assert f'const FOLDER = "{write(root, place).app.folder}"' in (place / "sw.js").read_text()


def test_an_app_whose_folder_could_not_be_removed_is_not_forgotten(root, place, monkeypatch, publish_again):
    first = write(root, place).app
    publish_again()
    publication.withdraw(root, ["v000001"])

    def refusing(uri):
        raise AccessDenied(f"{uri}: access is denied")

    monkeypatch.setattr(objects, "purge", refusing)
    with pytest.raises(AccessDenied):
        write(root, place)
    assert first in register.every(root)


def test_a_version_that_is_withdrawn_meanwhile_leaves_the_page_of_another_as_it_is(root, place, monkeypatch, publish_again):
    write(root, place)
    before = {name: (place / name).read_bytes() for name in shell.NAMES}
    publish_again()
    withdraw_meanwhile(monkeypatch, root)
    with pytest.raises(Conflict, match="v000002 was withdrawn or replaced meanwhile"):
        write(root, place)
    assert {name: (place / name).read_bytes() for name in shell.NAMES} == before
    assert [app.version for app in register.every(root)] == ["v000001"]


def test_a_run_that_another_overtakes_leaves_the_folder_that_the_page_has(root, place, monkeypatch):
    first, add = write(root, place).app, register.add

    def overtaken(root, app):
        add(root, app)
        add(root, app._replace(folder="v000001-0123456789abcdef"))

    monkeypatch.setattr(register, "add", overtaken)
    with pytest.raises(Conflict, match="v000001 was withdrawn or replaced meanwhile, and the page at"):
        write(root, place, title="Again")
    assert (place / first.folder / "contract.json").exists()
    assert first in register.every(root)


def test_much_to_fetch_and_a_network_that_names_large_photographs_differently_are_told(root, place, capsys, monkeypatch):
    written = folder.write
    monkeypatch.setattr(folder, "write", lambda *given: written(*given)._replace(least_scaled=0.97, fetched=51_000_000))
    with pytest.raises(SystemExit):
        cli.main(["app", "--root", root, str(place)])
    said = capsys.readouterr().err
    assert "cosine 0.9700, below 0.99; --decode full" in said
    assert "A phone fetches 51 MB" in said


def test_the_command_prints_where_the_page_is(root, place, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["app", "--root", root, str(place), "--title", "Obst"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"file://{place}/index.html: v000001, {LABELS} labels, 2 golden pictures; ")
    assert "<title>Obst</title>" in (place / "index.html").read_text()


def test_a_register_that_was_cut_is_told_with_the_way_out(root):
    objects.write(f"{root}/models/{register.FILE}", b"[{")
    with pytest.raises(Damaged, match=r"exports\.json: does not read back .*run fruitpipe app --root .* OUT again"):
        register.every(root)
