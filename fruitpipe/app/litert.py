"""LiteRT for browsers, of its npm packages, made to lie in a folder: no bundler, no outside request, no word on the console.

Two builds: one with relaxed SIMD, which gives the bits that LiteRT gives in Python, and one for browsers without.
"""

from __future__ import annotations

from importlib.resources import files as resources

from fruitpipe.errors import MissingRequirement
from fruitpipe.runtime import npm
from fruitpipe.runtime.npm import Package

CORE = Package(
    "@litertjs/core",
    "2.5.3",
    "sha512-PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
)
UTILITIES = Package(
    "@litertjs/wasm-utils",
    "2.5.3",
    "sha512-4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
)
MODULE = "dist/index.js"
BUILDS = {"relaxed": "litert_wasm_internal", "compat": "litert_wasm_compat_internal"}
LICENSE = "LICENSE.txt"  # Apache License 2.0, which the packages name and do not hold; section 4 has it go with each copy
CHANGED = f"// Changed for the app of fruitpipe. The license is in {LICENSE}.\n"
REWRITTEN = {
    # Its one import by a package's name, which a browser cannot resolve; an import map would have to stand in the page, and a
    # strict content security policy refuses that.
    'from "@litertjs/wasm-utils"': 'from "./wasm-utils.js"',
    # Without this it asks for the graphics processor, which is not used, and says on the console where there is none.
    "await Environment.create()": "await Environment.create({ webGpuDevice: null })",
    "//# sourceMappingURL=index.js.map": "",
}


def files() -> dict[str, bytes]:
    """The files of the folder `runtime`, by name. Raises MissingRequirement where npm's registry does not give them."""
    builds = [f"wasm/{name}{ending}" for name in BUILDS.values() for ending in (".js", ".wasm")]
    core = npm.members(CORE, [MODULE, *builds])
    utilities = npm.members(UTILITIES, [MODULE])
    named = {name.removeprefix("wasm/"): core[name] for name in builds}
    without_map = utilities[MODULE].replace(b"//# sourceMappingURL=index.js.map", b"")
    said = {LICENSE: resources("fruitpipe.app").joinpath("LICENSE-LiteRT.txt").read_bytes()}
    return said | {"index.js": _rewritten(core[MODULE]), "wasm-utils.js": CHANGED.encode() + without_map} | named


def build_of(name: str) -> str | None:
    """Which of the two builds a file belongs to; None where both need it."""
    return next((build for build, prefix in BUILDS.items() if name.rpartition("/")[2].startswith(f"{prefix}.")), None)


def _rewritten(module: bytes) -> bytes:
    text = module.decode()
    for before, after in REWRITTEN.items():
        if (found := text.count(before)) != 1:
            raise MissingRequirement(f"{CORE.name} {CORE.version}: holds {before!r} {found} times, expected once")
        text = text.replace(before, after)
    return (CHANGED + text).encode()
