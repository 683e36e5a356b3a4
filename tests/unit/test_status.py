"""How often what is stored is listed, which costs requests."""

from fruitpipe import objects
from fruitpipe.operations import status


def test_what_is_stored_is_listed_at_the_first_look_and_once_a_minute(tmp_path):
    seconds = [0.0]
    root = f"file://{tmp_path}"
    objects.write(f"{root}/features/a", b"12")
    sizes = status.Sizes(root, lambda: seconds[0])
    assert sizes() == {"features": 2}
    objects.write(f"{root}/features/b", b"345")
    seconds[0] = 59.0
    assert sizes() == {"features": 2}
    seconds[0] = 60.0
    assert sizes() == {"features": 5}
