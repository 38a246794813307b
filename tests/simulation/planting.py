"""Plants a mistake into the function, or into the test's ports, and takes it out again.

A mistake is put in the place of something at a seam, such as a method of a port or a table; or it is a change to a
function's source, whose old text must be there. So a defect that no longer fits is an error and not a test that passes.
"""

from __future__ import annotations
import __future__

import importlib
import inspect
import sys
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Defect:
    """One mistake.

    Attributes:
        title: What the function does wrong.
        swaps: For each name, `module:name` or `module:Class.name`, what makes its replacement from what is there.
        edits: For each function the text that is replaced and the new one.
    """

    title: str
    swaps: tuple[tuple[str, Make], ...] = ()
    edits: tuple[tuple[str, str, str], ...] = ()


@contextmanager
def planted(defect: Defect) -> Iterator[None]:
    """Puts a defect into the function, wherever its modules have imported it, and takes it out again."""
    undo: list[tuple[object, str, object]] = []
    try:
        for where, make in defect.swaps:
            undo.extend(_put(where, make))
        for where in dict.fromkeys(where for where, _, _ in defect.edits):
            undo.extend(_put(where, _edit(where, [(old, new) for place, old, new in defect.edits if place == where])))
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


def _edit(where: str, edits: list[tuple[str, str]]) -> Make:
    def changed(original: object) -> object:
        plain = original.fget if isinstance(original, property) else original
        assert isinstance(plain, FunctionType)
        source = textwrap.dedent(inspect.getsource(plain))
        for old, new in edits:
            if source.count(old) != 1:
                raise ValueError(f"{where} holds {old!r} {source.count(old)} times")
            source = source.replace(old, new)
        scope: dict[str, object] = {}
        flags = __future__.annotations.compiler_flag
        exec(compile(source, where, "exec", flags=flags), plain.__globals__, scope)  # noqa: S102 the test's own text
        return scope[plain.__name__]

    return changed


def _importers(name: str, original: object) -> list[object]:
    """The modules, of the function and of the tests' ports, that have this under its name."""
    return [
        module
        for module_name, module in sorted(sys.modules.items())
        if module_name.startswith(("backstop.", "tests.support.")) and getattr(module, name, None) is original
    ]
