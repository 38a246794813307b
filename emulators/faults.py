"""Faults that a test plugs into an emulator, and the count of those that took effect."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from emulators.errors import ApiError, Code

When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One refusal to be injected.

    Attributes:
        method: The RPC, as the service names it, for example `CreateBackup`.
        code: What the client sees.
        when: `before` the effect (nothing happened) or `after` it (the answer is lost).
        times: How many calls it hits, from the next one on; None for all until it is cleared.
        message: The text that the client sees.
        resource: Hits only calls whose resource name contains this text; empty for all.
    """

    method: str
    code: Code
    when: When = "before"
    times: int | None = 1
    message: str = "injected fault"
    resource: str = ""


class Faults:
    """The faults that are still to come, and what was called and injected so far.

    It does not lock: each server calls it under the lock that also guards its state.
    """

    def __init__(self) -> None:
        self._planned: list[tuple[Fault, int | None]] = []
        self.calls: Counter[str] = Counter()
        self.injected: Counter[tuple[str, Code, When]] = Counter()

    def plan(self, *faults: Fault) -> None:
        """Adds faults behind those already planned."""
        self._planned.extend((fault, fault.times) for fault in faults)

    def clear(self) -> None:
        """Forgets the faults that have not happened; the counts stay."""
        self._planned.clear()

    def check(self, method: str, when: When, resource: str = "") -> None:
        """Counts the call (once, before its effect) and raises the first planned fault that fits it.

        Args:
            method: The RPC's name.
            when: Whether the effect is still to come.
            resource: The name of the resource that the call is about.

        Raises:
            ApiError: The injected refusal.
        """
        if when == "before":
            self.calls[method] += 1
        for index, (fault, left) in enumerate(self._planned):
            if fault.method != method or fault.when != when or fault.resource not in resource:
                continue
            if left == 1:
                del self._planned[index]
            elif left is not None:
                self._planned[index] = (fault, left - 1)
            self.injected[method, fault.code, when] += 1
            raise ApiError(fault.code, fault.message)
