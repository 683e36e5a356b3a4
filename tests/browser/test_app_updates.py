"""What becomes of an app on a device: newer versions, withdrawn ones, files and checks that are not right."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from fruitpipe.app import contract, golden, place
from fruitpipe.refit import publication
from tests import networks
from tests.apps import Redirecting, publish, served, write
from tests.browsers import needs_chromium, opened
from tests.versions import publish_pictures

if TYPE_CHECKING:
    from pathlib import Path

    from fruitpipe.extractor.inference import ModelFile

pytestmark = needs_chromium
UPDATE = "navigator.serviceWorker.getRegistration().then(one => one.update())"


@dataclass(frozen=True)
class Published:
    """A root of drawn fruits by a small network, whose pages hold two golden pictures."""

    folder: Path
    images: list[Path]
    model: ModelFile

    @property
    def root(self) -> str:
        return f"file://{self.folder}/root"

    def publish(self, first: int = 0) -> None:
        """One more version, of all pictures from the first on."""
        publish_pictures(self.root, self.images[first:], model=self.model)

    def write(self, title: str = "Fruits!") -> Path:
        """Writes the page into `app`; returns the folder of its version."""
        return self.folder / "app" / write(self.root, self.folder / "app", title).app.folder


@pytest.fixture(scope="module")
def first_version(tmp_path_factory):
    """A folder with a root, the images, and a small network, by which its one version is, and which stands in for ours."""
    folder, model = tmp_path_factory.mktemp("first"), networks.for_apps()
    publish(f"file://{folder}/root", folder / "images", model)
    with networks.in_place_of_ours(folder / "network.tflite", model):
        yield folder, sorted((folder / "images").rglob("*.jpg")), model


@pytest.fixture
def few(first_version, tmp_path, monkeypatch):
    """A copy of the root."""
    folder, images, model = first_version
    wanted = [one for one in golden.pictures() if one.name in ("plain-0.jpg", "plain.png")]
    monkeypatch.setattr(golden, "pictures", lambda: wanted)
    shutil.copytree(folder / "root", tmp_path / "root")
    return Published(tmp_path, images, model)


def test_above_the_tolerance_the_page_says_so_and_names_nothing(browser, few, tmp_path, monkeypatch):
    """A page whose vectors of golden pictures are another's."""
    named = contract.named

    def others(identifier):
        found, flatbuffer = named(identifier)
        found.vectors[1, 7] += 0.01
        return found, flatbuffer

    monkeypatch.setattr(contract, "named", others)
    few.write()
    with served(tmp_path / "app") as address, opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "refused"
        assert [one["file"] for one in found.check["pictures"] if not one["isKept"]] == ["plain.png"]
        said = found.page.locator("#trouble-text").inner_text()
        assert "1 of 2 pictures are not as they should be (worst difference 1.0e-2: plain.png)" in said
        assert found.page.locator("#file").is_disabled()
        assert found.page.locator("#checked").is_hidden()


@pytest.mark.parametrize("name", ["classifier.bin", "model.tflite", "contract.json"])
def test_with_a_file_that_was_changed_on_its_way_nothing_is_named(browser, few, tmp_path, name):
    file = few.write() / name
    body = bytearray(file.read_bytes())
    body[body.index(b"1") if name == "contract.json" else 99] ^= 1
    file.write_bytes(body)
    with served(tmp_path / "app") as address, opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "failed"
        assert f"{name}: its bytes are not those of this version" in found.page.locator("#trouble-text").inner_text()
        assert found.page.locator("#file").is_disabled()


def test_a_newer_version_waits_until_it_is_asked_for_and_takes_over_what_did_not_change(browser, few, tmp_path):
    few.write()
    with served(tmp_path / "app") as address, opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "ready"
        few.publish()
        second = few.write()
        found.asked.clear()
        found.page.evaluate(UPDATE)
        found.page.wait_for_selector("#update:not([hidden])")
        assert found.inside("page.contract.version") == "v000001"
        fetched = [url.rpartition("/")[2] for url in found.asked if second.name in url]
        assert sorted(fetched) == ["classifier.bin", "classifier.json", "contract.json"]
        found.context.set_offline(True)
        with found.page.expect_navigation():
            found.page.locator("#take-over").click()
        assert found.settled() == "ready"
        assert found.inside("page.contract.version") == "v000002"
        assert found.said == []


KEPT = "caches.keys().then(names => names.map(name => name.split(' ')[2]))"


def test_a_server_that_redirects_the_page_to_its_folder_leaves_it_open_without_a_network(browser, few, tmp_path):
    few.write()
    with served(tmp_path / "app", Redirecting) as address, opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "ready"
        found.context.set_offline(True)
        for asked in ("/index.html", "/"):
            found.page.goto(address + asked)
            assert found.settled() == "ready"
        assert found.said == []


def test_a_page_of_a_version_that_was_withdrawn_is_replaced_at_once_and_nothing_of_it_is_kept(browser, few, tmp_path):
    first = few.write()
    with served(tmp_path / "app") as address, opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "ready"
        assert found.page.evaluate(KEPT) == [first.name]
        few.publish(first=1)
        publication.withdraw(few.root, ["v000001"])
        second = few.write()
        with found.page.expect_navigation():
            found.page.evaluate(UPDATE)
        assert found.settled() == "ready"
        assert found.inside("page.contract.version") == "v000002"
        assert found.page.evaluate(KEPT) == [second.name]


def test_a_device_forgets_an_app_that_was_taken_away(browser, few, tmp_path):
    few.write()
    with served(tmp_path / "app") as address, opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "ready"
        place.take_away(few.root, f"file://{tmp_path}/app")
        with found.page.expect_navigation():
            found.page.evaluate(UPDATE)
        assert found.page.evaluate(KEPT) == []
        assert found.page.evaluate("navigator.serviceWorker.getRegistrations().then(all => all.length)") == 0


def test_what_an_interrupted_installation_fetched_is_not_fetched_again(browser, few, tmp_path):
    inside = few.write() / "golden"
    (inside / "vectors.bin").rename(tmp_path / "vectors.bin")
    with served(tmp_path / "app") as address, opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "failed"
        (tmp_path / "vectors.bin").rename(inside / "vectors.bin")
        (inside / "plain-0.jpg").unlink()  # fetched before vectors.bin
        found.page.reload()
        assert found.settled() == "ready"
        assert found.page.locator("#kept").inner_text().startswith("Works without a network")


def test_a_new_title_reaches_a_device_and_all_its_windows(browser, few, tmp_path):
    few.write(title="Old")
    with served(tmp_path / "app") as address, opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "ready"
        other = found.context.new_page()
        other.goto(f"{address}/index.html")
        other.wait_for_selector("html[data-state=ready]")
        few.write(title="New")
        found.page.evaluate(UPDATE)
        for page in (found.page, other):
            page.wait_for_selector("#update:not([hidden])")
        other.locator("#take-over").click()
        for page in (found.page, other):
            page.wait_for_selector("h1:has-text('New')")
            page.wait_for_selector("html[data-state=ready]")


def test_a_newer_version_that_could_not_be_fetched_is_told(browser, few, tmp_path):
    few.write()
    with served(tmp_path / "app") as address, opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "ready"
        few.publish()
        (few.write() / "classifier.bin").write_bytes(b"cut")
        found.page.evaluate(UPDATE)
        found.page.wait_for_selector("#update:not([hidden])")
        assert found.page.locator("#update").inner_text().startswith("A newer version could not be fetched")
        assert found.page.locator("#take-over").is_hidden()


def test_a_check_that_fails_later_is_not_outlived_by_the_one_before(browser, few, tmp_path):
    few.write()
    checks = "Object.keys(localStorage).filter(name => name.startsWith('fruitpipe check')).length"
    with served(tmp_path / "app") as address, opened(browser, f"{address}/index.html") as found:
        assert (found.settled(), found.page.evaluate(checks)) == ("ready", 1)
        found.inside("page.contract.tolerances.cosine = 2")
        found.page.evaluate("document.getElementById('again').click()")
        found.page.wait_for_selector("html[data-state=refused]")
        assert found.page.evaluate(checks) == 0


def test_a_check_whose_pictures_cannot_be_fetched_is_not_told_as_other_numbers(browser, few, tmp_path):
    inside = few.write() / "golden"
    with served(tmp_path / "app") as address, opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "ready"
        (inside / "plain.png").unlink()
        found.page.evaluate("caches.keys().then(names => Promise.all(names.map(name => caches.delete(name))))")
        found.page.evaluate("document.getElementById('again').click()")
        found.page.wait_for_selector("html[data-state=failed]")
        assert "golden/plain.png: 404" in found.page.locator("#trouble-text").inner_text()
