"""Lists in pages.

A token holds where the page before ended, not how many items came before it, so what starts or vanishes between two
pages neither repeats nor skips an item.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol, TypeVar

from spanner_backup_emulator.spanner import refusals
from spanner_backup_emulator.spanner.records import Page

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE_SIZE_MAX = 1000
"""How many items a page holds when the client names no number, or a larger one (inferred: Google names none)."""


class _Numbered(Protocol):
    @property
    def uid(self) -> int: ...


N = TypeVar("N", bound=_Numbered)


def page_of(items: Iterable[N], page_size: int, page_token: str, scope: str) -> Page[N]:
    """Cuts one page out of a list that is ordered by falling number.

    Args:
        items: Everything that the list holds now.
        page_size: As requested; 0 or less means the maximum.
        page_token: As requested.
        scope: The parent and the filter. A token is good for the same ones only, as
            https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/list documents.

    Returns:
        The page.

    Raises:
        ApiError: INVALID_ARGUMENT for a token that was not made here, or was made for another list.
    """
    mark = f"{zlib.crc32(scope.encode()):08x}"
    rest = iter(items)
    if page_token:
        number, _, token_mark = page_token.partition("-")
        if token_mark != mark or not number.isdecimal():
            raise refusals.bad_page_token(page_token)
        last = int(number)
        rest = (item for item in rest if item.uid < last)
    size = page_size if 0 < page_size <= PAGE_SIZE_MAX else PAGE_SIZE_MAX
    found: list[N] = []
    for item in rest:
        if len(found) == size:
            return Page(tuple(found), f"{found[-1].uid}-{mark}")
        found.append(item)
    return Page(tuple(found), "")
