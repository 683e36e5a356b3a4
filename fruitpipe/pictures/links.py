"""Resolves folders that have a second name, through a symbolic link in their path or in the image prefix."""

from __future__ import annotations

from fruitpipe import objects


class Links:
    """Resolves folders below `prefixes`. It caches its answers, so it is for one listing."""

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self._real = {prefix: objects.real(prefix) for prefix in prefixes if not objects.is_s3(prefix)}
        self._found: dict[str, str] = {}

    def own_name(self, folder: str) -> str:
        """The folder's URI below the first of the prefixes that holds it, links resolved; the same URI where none does."""
        if folder not in self._found:
            self._found[folder] = self._own_name(folder)
        return self._found[folder]

    def _own_name(self, folder: str) -> str:
        if objects.is_s3(folder) or not self._real:
            return folder
        real = objects.real(folder)
        names = (prefix + real.removeprefix(top) for prefix, top in self._real.items() if f"{real}/".startswith(f"{top}/"))
        return next(names, folder)
