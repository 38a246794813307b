"""Importing Google's clients, which is most of a cold start, without what a delivery doesn't need of it.

Two things are spared, and neither changes what the clients do:

- Looking for garbage. An import makes hundreds of thousands of objects that stay, and Python would go through all of
  them again and again meanwhile. `benchmarks/cold_start.py` shows what that costs.
- The modules in `LATE`, which sign with a private key and bring all of `cryptography` along. On Google's machines the
  metadata server signs in, so they are never used there; anything that does use one finds it, loaded that moment, as
  `importlib.util.LazyLoader` has it. https://docs.python.org/3/library/importlib.html#importlib.util.LazyLoader
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from importlib.util import LazyLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

LATE = frozenset({"google.auth._service_account_info", "google.auth.iam", "google.auth.jwt"})


class _LateFinder(MetaPathFinder):
    """Finds the modules of `LATE` where Python does, and has them loaded at their first use."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in LATE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


sys.meta_path.insert(0, _LateFinder())


@contextmanager
def quick_imports() -> Iterator[None]:
    """Within it nobody looks for garbage; what was made by its end stays, and is never looked through again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
