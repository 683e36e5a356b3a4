"""What the code uses of Spark that is not for users: where it is, one finds in one place."""

from __future__ import annotations

from pathlib import Path

from fruitpipe import runtime

CHECKOUT = Path(__file__).parents[2]


def test_each_module_with_a_private_name_of_spark_is_listed_with_what_is_done_without():
    modules = [*CHECKOUT.glob("fruitpipe/**/*.py"), *CHECKOUT.glob("*.py")]
    using = {module.stem for module in modules if "SLF001" in module.read_text(encoding="utf-8")}
    assert using, "each such line is marked for the linter"
    assert using == {name for name in using if f"| `{name}` |" in runtime.__doc__}
