"""What people have met or an attack has found, each as the smallest history that shows it: it goes well now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from backstop.lifecycle import GUARDS, TRANSITIONS
from spanner_backup_emulator.spanner.plans import Plan
from tests.simulation.chance import CALL, COMMAND, READ
from tests.simulation.defects import DEFECTS, ONLY_IN_CASES
from tests.simulation.facts import Facts
from tests.simulation.faults import EPOCH, FAR_FUTURE, FORGED, FORGED_SOURCE, NO_ID, NO_TIME, Faults
from tests.simulation.history import INSTANCE, Deployment, History, Person, Publish, Step, backup_name, database_name
from tests.simulation.planting import planted
from tests.simulation.run import run

if TYPE_CHECKING:
    from tests.simulation.chance import Site

ORDERS, USERS = database_name("orders"), database_name("users")
NIGHTLY = backup_name("nightly")
MINUTE_S, HOUR_S = 60.0, 3600.0

SHORT, HOURLY = Plan(duration=timedelta(minutes=5)), Plan(duration=timedelta(hours=1))
LOST = Plan(duration=timedelta(minutes=30), cancel_duration=None)
"""A cancel of it is accepted and lost."""

GOOD_ONE = Person(1, "create", "orders", "good")
"""A backup that is complete 5 minutes later."""

LATE_SEED = 5
"""With this one the first command's duplicate comes long after its end."""

MANY = 600
"""Databases of one start, with a reason for each why it wasn't started, that would not fit one follow-up uncut."""


class Case(NamedTuple):
    """What was met.

    Attributes:
        history: How.
        told: What is to be told, in order.
    """

    history: History
    told: str


def _history(
    *steps: Step,
    plans: tuple[Plan, ...] = (HOURLY,),
    only: dict[Site, str] | None = None,
    faults: Faults | None = None,
    deployment: Deployment | None = None,
    seed: int = 1,
) -> History:
    by_database = {"orders": plans, "users": plans}
    return History(
        seed, steps, 60 * HOUR_S, faults or Faults(), deployment or Deployment(), plans=by_database, only=only or {}
    )


def _publish(at_s: float, action: str, **fields: object) -> Publish:
    return Publish(at_s, {"action": action, **fields})


def _look_forged(odd: str) -> Publish:
    look = {
        "v": 1,
        "kind": "poll",
        "trigger": {"message_id": "1", "publish_time": "2026-11-22T00:00:00Z"},
        "step": 1,
        "operation": "@0",
        "intent": "CANCEL",
        "unwanted_from": "2026-11-22T00:00:00Z",
        "give_up_at": "2026-12-22T00:00:00Z",
    }
    return Publish(600, look, odd=odd)


BLOCKED_STEPS = (
    Person(1, "create", "orders", "nightly"),
    _publish(10 * MINUTE_S, "cancel", operation="@0"),
    Person(30 * MINUTE_S + 2, "copy", "orders", "nightly", 30 * HOUR_S),
)

CASES = {
    "an operation that is not found once is polled again": Case(
        _history(_publish(1, "start", database=ORDERS), only={(READ, 0, 1, 1, 1, 1): "missing"}), "STARTED COMPLETED"
    ),
    "an operation that is to be stopped and is not found once is polled again": Case(
        _history(
            Person(1, "create", "orders", "nightly"),
            _publish(60, "cancel", operation="@0"),
            only={(READ, 1, 1, 1, 1, 1): "missing"},
        ),
        "CANCEL_REQUESTED CANCELLED",
    ),
    "a backup that stays blocked is left to expire as early as can be": Case(
        _history(*BLOCKED_STEPS, plans=(LOST,), deployment=Deployment(give_up_after=timedelta(hours=4))),
        "CANCEL_REQUESTED DELETE_BLOCKED GAVE_UP",
    ),
    "a backup that stays blocked and expires soon is left alone": Case(
        _history(
            _publish(1, "start", database=ORDERS, backup_id="nightly", cancel_after="10m", retention="6h"),
            Person(30 * MINUTE_S + 2, "copy", "orders", "nightly", 30 * HOUR_S),
            plans=(LOST,),
            deployment=Deployment(give_up_after=timedelta(hours=7)),
        ),
        "STARTED CANCEL_REQUESTED DELETE_BLOCKED GAVE_UP",
    ),
    "a backup of which nobody knows what its operation made stays": Case(
        _history(
            Person(1, "create", "orders", "nightly"),
            _publish(10 * MINUTE_S, "cancel", operation="@0"),
            Person(11 * MINUTE_S, "muddle"),
            plans=(LOST,),
        ),
        "CANCEL_REQUESTED COMPLETED_KEPT",
    ),
    "a cancel that overtakes its start leaves the good backup before it alone": Case(
        _history(
            GOOD_ONE,
            replace(_publish(600, "start", database=ORDERS, backup_id="nightly"), late_s=120.0),
            _publish(601, "cancel", database=ORDERS),
            plans=(SHORT, HOURLY),
        ),
        "NOTHING_TO_CANCEL STARTED COMPLETED",
    ),
    "a cancel finds the start before it although Pub/Sub's clock is 3 s behind": Case(
        _history(
            GOOD_ONE,
            _publish(600, "start", database=ORDERS),
            _publish(601, "cancel", database=ORDERS),
            plans=(SHORT, HOURLY),
            faults=Faults(pubsub_skew_s=-3.0),
        ),
        "STARTED CANCEL_REQUESTED CANCELLED CANCELLED",
    ),
    "a cancel beside a running operation that can't be read leaves the good backup alone": Case(
        _history(
            GOOD_ONE,
            Person(600, "obscure", "orders", "nightly"),
            _publish(660, "cancel", database=ORDERS),
            plans=(SHORT, HOURLY),
        ),
        "REJECTED",
    ),
    "a cancel that names a backup leaves it alone where an operation of that name can't be read": Case(
        _history(
            Person(1, "create", "orders", "nightly"),
            Person(400, "delete", "orders", "nightly"),
            Person(401, "obscure", "orders", "nightly"),
            _publish(460, "cancel", backup=NIGHTLY),
            plans=(SHORT, HOURLY),
        ),
        "REJECTED",
    ),
    "a start of very many that are all turned down sums them up": Case(
        History(
            1,
            (
                *(
                    Person(1 + number / 100, "create", f"database-number-{number:04}", f"held-{number:04}")
                    for number in range(MANY)
                ),
                _publish(60, "start", instance=INSTANCE),
            ),
            60 * HOUR_S,
            deployment=Deployment(databases=tuple(f"database-number-{number:04}" for number in range(MANY))),
            plans={
                f"database-number-{number:04}": (replace(HOURLY, duration=timedelta(days=2)),) for number in range(MANY)
            },
            only={},
        ),
        "REJECTED",
    ),
    "a start does not take over the backup of its name that a person began 8 s before": Case(
        _history(
            Person(1, "create", "orders", "nightly"),
            _publish(9, "start", database=ORDERS, backup_id="nightly", cancel_after="10m"),
        ),
        "REJECTED",
    ),
    "a start does not take over a person's backup of its name that is complete": Case(
        _history(
            Person(1, "create", "orders", "nightly"),
            replace(_publish(9, "start", database=ORDERS, backup_id="nightly", cancel_after="0s"), late_s=400.0),
            plans=(SHORT,),
        ),
        "REJECTED",
    ),
    "a start whose backup a person keeps for longer is known when it comes again": Case(
        _history(
            _publish(1, "start", database=ORDERS, backup_id="nightly"),
            Person(700, "extend", "orders", "nightly"),
            plans=(SHORT,),
            only={(COMMAND, 0, 0, 0): "duplicate"},
            seed=LATE_SEED,
        ),
        "STARTED COMPLETED STARTED",
    ),
    "a cancel that Spanner refuses as too late still has its end": Case(
        _history(
            Person(1, "create", "orders", "nightly"),
            _publish(300.8, "cancel", database=ORDERS),
            plans=(SHORT,),
            deployment=Deployment(late_cancel_refused=True),
        ),
        "COMPLETED_THEN_DELETED",
    ),
    "a sweep that Spanner refuses as too late leaves the operation to the next one": Case(
        _history(
            Person(1, "create", "orders", "nightly"),
            _publish(300.8, "sweep", instance=INSTANCE, cancel_after="2m", if_created="delete"),
            plans=(SHORT,),
            deployment=Deployment(late_cancel_refused=True),
        ),
        "NOTHING_TO_CANCEL",
    ),
    "a body that names another topic than its push is no follow-up": Case(
        _history(GOOD_ONE, _look_forged(FORGED_SOURCE), plans=(SHORT,)), "REJECTED"
    ),
    "a command that claims to be a follow-up is none": Case(
        _history(GOOD_ONE, _look_forged(FORGED), plans=(SHORT,)), "REJECTED"
    ),
    "two commands of two topics with one id have a chain each": Case(
        _history(
            _publish(1, "start", database=ORDERS),
            replace(_publish(60, "cancel", database=ORDERS), twin=True),
            plans=(LOST,),
        ),
        "STARTED CANCEL_REQUESTED COMPLETED_DESPITE_CANCEL COMPLETED_THEN_DELETED",
    ),
    "two starts of two topics with one id make a backup each": Case(
        _history(_publish(1, "start", database=ORDERS), replace(_publish(1.2, "start", database=USERS), twin=True)),
        "STARTED STARTED COMPLETED COMPLETED",
    ),
    "a backup that is not found once is not told as gone": Case(
        _history(
            Person(1, "create", "orders", "nightly"),
            _publish(60, "cancel", database=ORDERS),
            plans=(LOST,),
            only={(READ, 1, 1, 1, 1, 2): "missing"},
            deployment=Deployment(look_min=timedelta(minutes=45)),
        ),
        "CANCEL_REQUESTED COMPLETED_THEN_DELETED",
    ),
    "a cancel in the same millisecond as its start finds it": Case(
        _history(_publish(1, "start", database=ORDERS), _publish(1.160778, "cancel", database=ORDERS)),
        "STARTED CANCEL_REQUESTED CANCELLED CANCELLED",
    ),
    **{
        f"a command is turned down once: {odd}": Case(
            _history(Person(1, "create", "orders", "nightly"), replace(_publish(60, action, database=ORDERS), odd=odd)),
            "REJECTED",
        )
        for odd, action in ((NO_TIME, "cancel"), (EPOCH, "cancel"), (FAR_FUTURE, "start"), (NO_ID, "start"))
    },
    "a start that comes again with another publish time makes one backup": Case(
        _history(
            _publish(1, "start", database=ORDERS), plans=(SHORT,), only={(COMMAND, 0, 0, 0): "restamp"}, seed=LATE_SEED
        ),
        "STARTED COMPLETED STARTED",
    ),
}


@pytest.mark.parametrize("title", CASES)
def test_what_was_met_goes_well(title: str) -> None:
    """The title says what holds now."""
    history, told = CASES[title]

    verdict = run(history)

    assert verdict.findings == []
    assert [outcome.name for outcome in Facts(verdict.record).outcomes] == told.split()


UNMENDED = {
    "a cancel that overtakes its start leaves the good backup before it alone": (
        "a cancel by database may be late by the grace"
    ),
    "a cancel finds the start before it although Pub/Sub's clock is 3 s behind": (
        "a cancel finds nothing that started since by any clock"
    ),
    "a cancel beside a running operation that can't be read leaves the good backup alone": (
        "an operation that can't be read is overlooked"
    ),
    "a start of very many that are all turned down sums them up": "what a start of many carries has no bound",
    "a start does not take over the backup of its name that a person began 8 s before": (
        "a start takes any backup of its name for its own"
    ),
    "a cancel that Spanner refuses as too late still has its end": ("a refusal to cancel is an error"),
    "a body that names another topic than its push is no follow-up": "the topic that a body names is believed",
    "two commands of two topics with one id have a chain each": "a chain's names leave the topic out",
    "a backup that is not found once is not told as gone": "a backup that can't be found once counts as gone",
    "a cancel in the same millisecond as its start finds it": "a cancel finds nothing that started since by any clock",
    f"a command is turned down once: {EPOCH}": "a publish time that can't be is believed",
    f"a command is turned down once: {FAR_FUTURE}": "a publish time that can't be is believed",
    "an operation that is not found once is polled again": "the rule of MISSING under KEEP is another",
    "an operation that is to be stopped and is not found once is polled again": (
        "the rule of MISSING under CANCEL is another"
    ),
    "a backup that stays blocked is left to expire as early as can be": (
        "the rule of UNDELETABLE under CANCEL is another"
    ),
    "a backup that stays blocked and expires soon is left alone": "the rule of LEFT_TO_EXPIRE under CANCEL is another",
    "a backup of which nobody knows what its operation made stays": (
        "nothing guards a backup of which holds: nobody knows what its operation made"
    ),
    "a start that comes again with another publish time makes one backup": (
        "a derived name is looked for with the time in it"
    ),
}
"""The defect that is there again where the mending is taken out."""


@pytest.mark.parametrize("title", UNMENDED)
def test_what_was_met_is_found_again_when_the_mending_is_taken_out(title: str) -> None:
    """With the defect the history is a finding."""
    (defect,) = (defect for defect in (*DEFECTS, *ONLY_IN_CASES) if defect.title == UNMENDED[title])

    with planted(defect):
        findings = run(CASES[title].history).findings

    assert findings


def test_a_case_finds_each_defect_that_random_histories_hardly_reach() -> None:
    """Otherwise nobody would try a rare cell or guard that is left out of the list above."""
    assert {defect.title for defect in ONLY_IN_CASES} <= set(UNMENDED.values())


def test_a_defect_is_planted_in_every_cell_and_for_every_guard() -> None:
    """A cell or a guard that is added to the table is tried as well."""
    titles = {defect.title for defect in (*DEFECTS, *ONLY_IN_CASES)}
    cells = {f"the rule of {state} under {intent} is another" for state, row in TRANSITIONS.items() for intent in row}
    guards = {f"nothing guards a backup of which holds: {guard.name}" for guard in GUARDS}

    assert cells | guards <= titles


SWEEP = _history(
    *(Person(1.0 + number, "create", f"database-{number}", f"leftover-{number}") for number in range(5)),
    *(Person(1.5 + number, "cancel") for number in range(5)),
    _publish(HOUR_S, "sweep", instance=INSTANCE, if_created="delete"),
    deployment=Deployment(databases=tuple(f"database-{number}" for number in range(5))),
)


@pytest.mark.parametrize("fault", ["", "PERMISSION_DENIED before", "INTERNAL before", "crash after"])
@pytest.mark.parametrize("call", [7, 8, 9, 10])
def test_every_backup_that_a_sweep_deletes_is_named_in_the_log(fault: str, call: int) -> None:
    """Whatever goes wrong in the middle of it; what was done before an error is told before the error."""
    plans = {f"database-{number}": (LOST,) for number in range(5)}
    steps = tuple(sorted((step for step in SWEEP.steps if step is not None), key=lambda step: step.at_s))
    only: dict[Site, str] = {(CALL, 10, 0, 0, 1, call): fault} if fault else {}

    verdict = run(replace(SWEEP, steps=steps, plans=plans, only=only))

    facts = Facts(verdict.record)
    deleted = {one.backup for one in facts.attempts.values() if one.deleter is not None}
    assert verdict.findings == []
    assert deleted == {line.backup for line in verdict.record.logged} - _spared(facts)
    assert len(deleted) >= 4
    words = [outcome.name for outcome in facts.outcomes]
    assert "REJECTED" not in words[:-1]


def _spared(facts: Facts) -> set[str]:
    """The backups whose deletion was tried in vain."""
    return {one.backup for one in facts.attempts.values() if one.gone_at is None}
