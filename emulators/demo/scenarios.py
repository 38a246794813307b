"""The five lives that the demo shows: what Spanner does, what people do meanwhile, and how it must end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from emulators.spanner.plans import Plan
from emulators.stack import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping


def _s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One backup's life. A second here stands for many minutes in production.

    Attributes:
        instance_id: The instance, one each, so that every call to Spanner can be put down to its backup.
        story: What happens, in a few words.
        plan: How long Spanner takes, and whether it listens to a cancel.
        command: What the start says beside the database.
        cancel_after_s: When somebody publishes a cancel, after the start; None if nobody does.
        restore_s: How long a restore uses the backup from its completion on; 0 for none.
        expected: What each command, the start and then the cancel, must come to, in order.
        left_behind: Whether the backup is there at the end.
    """

    instance_id: str
    story: str
    plan: Plan
    expected: tuple[tuple[str, ...], ...]
    command: Mapping[str, object] = field(default_factory=dict)
    cancel_after_s: float | None = None
    restore_s: float = 0.0
    left_behind: bool = False

    @property
    def instance(self) -> str:
        """The instance's full name."""
        return f"{PROJECT}/instances/{self.instance_id}"

    @property
    def database(self) -> str:
        """The database's full name."""
        return f"{self.instance}/databases/main"

    @property
    def backup(self) -> str:
        """The backup's full name."""
        return f"{self.instance}/backups/main-demo"


NEVER = None

SCENARIOS = (
    Scenario("orders", "completes", Plan(duration=_s(12)), (("STARTED", "COMPLETED"),), left_behind=True),
    Scenario(
        "search",
        "cancelled in time",
        Plan(duration=_s(15), cancel_duration=_s(2)),
        (("STARTED", "CANCELLED"), ("CANCEL_REQUESTED", "CANCELLED")),
        cancel_after_s=5,
    ),
    Scenario(
        "ledger",
        "cancelled too late",
        Plan(duration=_s(8), cancel_duration=NEVER),
        (("STARTED", "COMPLETED_DESPITE_CANCEL"), ("CANCEL_REQUESTED", "COMPLETED_THEN_DELETED")),
        cancel_after_s=6,
    ),
    Scenario(
        "events",
        "past its cancel_after",
        Plan(duration=_s(40), cancel_duration=_s(1)),
        (("STARTED", "CANCEL_REQUESTED", "CANCELLED"),),
        command={"cancel_after": "9s"},
    ),
    Scenario(
        "stock",
        "a restore blocks the delete",
        Plan(duration=_s(7), cancel_duration=NEVER),
        (("STARTED", "COMPLETED_DESPITE_CANCEL"), ("CANCEL_REQUESTED", "DELETE_BLOCKED", "COMPLETED_THEN_DELETED")),
        cancel_after_s=4,
        restore_s=6,
    ),
)
