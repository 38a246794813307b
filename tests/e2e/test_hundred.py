"""A hundred lives at once: nothing is mixed up, nothing is refused, and all of it ends in time."""

from __future__ import annotations

import time

from emulators.errors import Code
from emulators.spanner.records import Status
from tests.e2e.lab import ENDLESS, Lab, quick, stubborn

LIVES = 100

SECONDS_MAX = 30.0
"""One such life alone takes 3 s, as looks are at least a second apart; a machine that is busy takes longer."""

KINDS = {
    "done": (quick(), {}, ["STARTED", "COMPLETED"], True),
    "late": (stubborn(4.0), {"cancel_after": "1s"}, ["STARTED", "CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"], False),
    "kept": (
        stubborn(4.0),
        {"cancel_after": "1s", "if_created": "keep"},
        ["STARTED", "CANCEL_REQUESTED", "COMPLETED_KEPT"],
        True,
    ),
    "stop": (ENDLESS, {"cancel_after": "1s"}, ["STARTED", "CANCEL_REQUESTED", "CANCELLED"], False),
    "fail": (quick(error=Status(Code.INTERNAL, "bad sector")), {}, ["STARTED", "FAILED"], False),
}
"""For each kind of life: the plan, what the start says, how it must end, and whether a backup is left."""


def test_a_hundred_lives_at_once(lab: Lab) -> None:
    """Every outcome is right, no delivery is refused, each chain is one, and what should be left is left."""
    begun_s = time.monotonic()
    kinds = [list(KINDS)[number % len(KINDS)] for number in range(LIVES)]
    message_ids = []
    for number, kind in enumerate(kinds):
        plan, fields, _, _ = KINDS[kind]
        database = lab.database(plan, f"{kind}-{number}")
        message_ids.append(lab.publish("start", database=database, backup_id=f"{kind}-{number}", **fields))

    ended = [lab.ends(message_id) for message_id in message_ids]
    assert ended == [KINDS[kind][2] for kind in kinds]
    assert time.monotonic() - begun_s < SECONDS_MAX
    left = {name.rpartition("/")[2] for name in lab.left_behind()}
    assert left == {f"{kind}-{number}" for number, kind in enumerate(kinds) if KINDS[kind][3]}
    for message_id in message_ids:
        steps = [follow_up["step"] for _, follow_up in lab.follow_ups(message_id)]
        assert steps == list(range(1, len(steps) + 1))
        assert [line["severity"] for line in lab.lines(message_id)] == ["INFO"]
    if lab.stack.pubsub is not None:
        mine = {*message_ids}
        pushed = [done for done in lab.stack.pubsub.outcomes() if done.delivery.message.message_id in mine]
        assert [done.status for done in pushed] == [204] * LIVES
