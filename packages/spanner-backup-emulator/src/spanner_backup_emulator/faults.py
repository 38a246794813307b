"""Faults that a test plugs into an emulator, and the count of those that took effect."""

import enum
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from spanner_backup_emulator.errors import ApiError, Code

When = Literal["before", "after"]


class Trouble(enum.Enum):
    """What a client can meet in the place of an answer, where it isn't refused either."""

    HANG = "hang"  # Nothing comes until the client gives up.
    CUT = "cut"  # The connection breaks, with all the calls that are under way on it.
    GARBLED = "garbled"  # Bytes that are no answer; only `after`, like the next.
    BARE = "bare"  # An answer that lacks all its fields.


class TroubleError(Exception):
    """The call is to meet a trouble; the server sees to it."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Fault:
    """One refusal or trouble to be injected."""

    method: str  # The RPC, as the service names it, for example `CreateBackup`.
    code: Code | Trouble  # What the client sees.
    when: When = "before"  # Before the effect (nothing happened), or `after` it (the answer is lost).
    times: int | None = 1  # How many calls it hits, from the next one on; None for all until it is cleared.
    message: str = "injected fault"  # The text that the client sees.
    resource: str = ""  # Hits only calls whose resource name contains this text; empty for all.
    skip: int = 0  # How many calls that it would hit it lets pass first.


class Faults:
    """The faults that are still to come, and what was called and injected so far.

    It does not lock: each server calls it under the lock that also guards its state.
    """

    def __init__(self) -> None:
        self._planned: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.injected: Counter[tuple[str, Code | Trouble, When]] = Counter()

    def plan(self, *faults: Fault) -> None:
        """Adds faults behind those already planned."""
        self._planned.extend(faults)

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
            TroubleError: The injected trouble.
        """
        if when == "before":
            self.calls[method] += 1
        for index, fault in enumerate(self._planned):
            if fault.method != method or fault.when != when or fault.resource not in resource:
                continue
            if fault.skip:
                self._planned[index] = replace(fault, skip=fault.skip - 1)
                continue
            if fault.times == 1:
                del self._planned[index]
            elif fault.times is not None:
                self._planned[index] = replace(fault, times=fault.times - 1)
            self.injected[method, fault.code, when] += 1
            if isinstance(fault.code, Trouble):
                raise TroubleError(fault.code)
            raise ApiError(fault.code, fault.message)
