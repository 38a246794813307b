"""Lists in pages.

A token holds where the page before ended, not how many items came before it, so what starts or vanishes between two
pages neither repeats nor skips an item.
"""

from __future__ import annotations

import zlib
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from spanner_backup_emulator.spanner import refusals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanner_backup_emulator.messages import Message
    from spanner_backup_emulator.spanner.work import Resource, Work

PAGE_SIZE_MAX = 1000
"""How many items a page holds when the client names no number, or a larger one (inferred: Google names none)."""

N = TypeVar("N", "Resource", "Work")


def under(held: dict[str, N], prefix: str) -> list[N]:
    """What is held by a name that begins so, newest first."""
    return [one for name, one in reversed(held.items()) if name.startswith(prefix)]


def page_of(items: Iterable[N], request: Message, scope: str) -> tuple[list[N], str]:
    """Cuts one page out of a list that is ordered by falling number.

    Args:
        items: Everything that the list holds now.
        request: Has the page's size, of which 0 or less means the maximum, and its token.
        scope: The parent and the filter. A token is good for the same ones only, as
            https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/list documents.

    Returns:
        The page, and the token of the next one; empty if there is none.

    Raises:
        ApiError: INVALID_ARGUMENT for a token that was not made here, or was made for another list.
    """
    mark = f"{zlib.crc32(scope.encode()):08x}"
    rest = iter(items)
    if request.page_token:
        number, _, token_mark = request.page_token.partition("-")
        if token_mark != mark or not number.isdecimal():
            raise refusals.invalid(f"Invalid page token: {request.page_token}")
        last = int(number)
        rest = (item for item in rest if item.uid < last)
    size = request.page_size if 0 < request.page_size <= PAGE_SIZE_MAX else PAGE_SIZE_MAX
    found = list(islice(rest, size + 1))
    return found[:size], f"{found[size - 1].uid}-{mark}" if len(found) > size else ""
