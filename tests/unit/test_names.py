"""Labels and globs."""

from __future__ import annotations

import pytest

from fruitpipe.pictures import names


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("s3://b/fruit/Apple Golden 2/0.jpg", "Apple Golden 2"),
        ("s3://b/fruit/Label=x/0.jpg", "Label=x"),
        ("s3://b/images/0.jpg", "images"),
        ("s3://b/0.jpg", ""),
        ("file:///data/Kiwi/0.jpg", "Kiwi"),
        ("file:///0.jpg", ""),
        ("s3://b/a%2Fb/0.jpg", "a%2Fb"),
    ],
)
def test_the_folder_that_holds_an_image_is_its_label(path, label):
    assert names.label(path) == label


@pytest.mark.parametrize("name", ["a.jpg", "b.JPG", "c d.JpEg", "é.png", ".e.webp", "_f.PNG"])
def test_the_default_glob_takes_images_in_any_case(name):
    assert names.matcher("*.{jpg,jpeg,png,webp}").match(name)


@pytest.mark.parametrize("name", ["a.txt", "a.jpg.tmp", "jpg", "a.jpgx", "a.gif"])
def test_the_default_glob_takes_nothing_else(name):
    assert not names.matcher("*.{jpg,jpeg,png,webp}").match(name)


def test_alternatives_may_nest():
    assert [bool(names.matcher("*.{jp{,e}g,png}").match(name)) for name in ("a.jpg", "a.jpeg", "a.png", "a.jp")] == [1, 1, 1, 0]
