"""Puts a mistake in the place of something at a seam, a port, a table or a function, and takes it out again."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Make = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Defect:
    """One mistake.

    Attributes:
        title: What the function does wrong.
        swaps: For each name, `module:name` or `module:Class.name`, what makes its replacement from what is there.
    """

    title: str
    swaps: tuple[tuple[str, Make], ...]


@contextmanager
def planted(defect: Defect) -> Iterator[None]:
    """Puts a defect into the function, wherever its modules have imported it, and takes it out again."""
    undo: list[tuple[object, str, object]] = []
    try:
        for where, make in defect.swaps:
            undo.extend(_put(where, make))
        yield
    finally:
        for owner, name, value in reversed(undo):
            setattr(owner, name, value)


def _put(where: str, make: Make) -> Iterator[tuple[object, str, object]]:
    module_name, _, path = where.partition(":")
    owner: object = importlib.import_module(module_name)
    *classes, name = path.split(".")
    for class_name in classes:
        owner = getattr(owner, class_name)
    original = inspect.getattr_static(owner, name)
    changed = make(original)
    for one in [owner] if classes else _importers(name, original):
        yield one, name, original
        setattr(one, name, changed)


def _importers(name: str, original: object) -> list[object]:
    """The modules, of the function and of the tests' ports, that have this under its name."""
    return [
        module
        for module_name, module in sorted(sys.modules.items())
        if module_name.startswith(("backstop.", "tests.support.")) and getattr(module, name, None) is original
    ]
