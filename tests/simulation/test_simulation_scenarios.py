"""Every bug that the simulation has found, as the history that taught it: it goes well now, and with the bug not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from spanner_backup_emulator.spanner.plans import Plan
from tests.simulation.chance import CALL, COMMAND
from tests.simulation.defects import DEFECTS
from tests.simulation.facts import Facts
from tests.simulation.faults import Faults
from tests.simulation.history import INSTANCE, Deployment, History, Person, Publish, Step, database_name
from tests.simulation.planting import planted
from tests.simulation.run import run

if TYPE_CHECKING:
    from tests.simulation.chance import Site

ORDERS = database_name("orders")
MINUTE_S, HOUR_S = 60.0, 3600.0
SHORT, HOURLY = Plan(duration=timedelta(minutes=10)), Plan(duration=timedelta(hours=1))
SLOW_CANCEL = Plan(duration=timedelta(minutes=30), cancel_duration=timedelta(hours=3))
HANGS = Plan(duration=timedelta(days=20), cancel_duration=None)


class Bug(NamedTuple):
    """A bug, and the history that it shows in.

    Attributes:
        defect: The bug's title in the catalogue of planted defects; empty where no seam would take it.
        history: The history.
    """

    defect: str
    history: History


def _history(
    *steps: Step,
    plans: tuple[Plan, ...] = (HOURLY,),
    only: dict[Site, str] | None = None,
    faults: Faults | None = None,
    seed: int = 1,
) -> History:
    return History(seed, steps, 60 * HOUR_S, faults or Faults(), plans={"orders": plans}, only=only or {})


def _taken_over(at_s: float) -> History:
    """A start that loses Spanner's answer, and whose backup is deleted, and its name then used by a schedule."""
    return _history(
        _publish(1, "start", database=ORDERS, backup_id="nightly"),
        Person(3, "delete", "orders", "nightly"),
        Person(at_s, "schedule", "orders", "nightly"),
        plans=(SLOW_CANCEL,),
        only={(CALL, 0, 0, 0, 1, 2): "ABORTED after", (CALL, 0, 0, 0, 2, 1): "crash before"},
    )


def _publish(at_s: float, action: str, **fields: object) -> Publish:
    return Publish(at_s, {"action": action, **fields})


BUGS = {
    "a start whose first delivery died is followed, although a role is missing at the second": Bug(
        "a command that was begun is rejected when a role is missing",
        _history(
            _publish(1, "start", database=ORDERS),
            only={(CALL, 0, 0, 0, 1, 3): "crash before", (CALL, 0, 0, 0, 2, 1): "PERMISSION_DENIED before"},
        ),
    ),
    "a cancel finds the operation that it names, although a faster clock stamped it": Bug(
        "an operation that is named is too young for the command",
        _history(
            Person(1, "create", "orders", "by-hand"),
            _publish(3, "cancel", operation="@0"),
            faults=Faults(pubsub_skew_s=-5.0),
        ),
    ),
    "a follow that is delivered twice keeps to the operation that ran when it was published": Bug(
        "a command means what runs when it arrives, and not when it was published",
        _history(
            Person(1, "schedule", "orders", "daily"),
            Person(2, "create", "orders", "by-hand"),
            _publish(MINUTE_S, "follow", database=ORDERS, cancel_after="30m", include_scheduled=True),
            plans=(replace(HOURLY, duration=timedelta(hours=9)), SHORT),
            only={(COMMAND, 2, 0, 0): "duplicate"},
            seed=3,
        ),
    ),
    "a backup that was deleted is told of as gone, whoever has its name now": Bug(
        "nothing guards a backup of which holds: it is gone, and its name was used again",
        _history(
            _publish(1, "start", database=ORDERS, backup_id="nightly", cancel_after="5m"),
            Person(30 * MINUTE_S + 2, "recreate", "orders", "nightly"),
            plans=(SLOW_CANCEL,),
        ),
    ),
    "a clock that is four minutes behind has no look made over and over": Bug(
        "", _history(_publish(1, "start", database=ORDERS, cancel_after="10m"), faults=Faults(function_skew_s=-240.0))
    ),
    "a backup that hangs where another took minutes is looked at a few hundred times": Bug(
        "what hangs is polled as if it were about to end",
        _history(
            _publish(1, "start", database=ORDERS), _publish(HOUR_S, "start", database=ORDERS), plans=(SHORT, HANGS)
        ),
    ),
    "a native schedule's backup is not taken for the one that a start of its name was to make": Bug(
        "a start takes any backup of its name for its own",
        _history(
            _publish(1, "start", database=ORDERS, backup_id="nightly", cancel_after="0s"),
            Person(1.5, "schedule", "orders", "nightly"),
            only={(COMMAND, 0, 0, 0): "delay"},
        ),
    ),
    "a start whose backup somebody deletes is followed, although a schedule took over its name": Bug(
        "a start doesn't look for what it has started before", _taken_over(20)
    ),
    "a start whose backup is followed by a schedule's of its name within seconds is followed all the same": Bug(
        "a start doesn't look for what it has started before", _taken_over(5)
    ),
    "the first of many starts is retried under a name of its own": Bug(
        "the next of many starts is retried under a name of its own",
        _history(
            _publish(1, "start", instance=INSTANCE),
            only={(CALL, 0, 2, 1, 1, 4): "crash before", (CALL, 0, 2, 1, 2, 1): "RESOURCE_EXHAUSTED before"},
        ),
    ),
    "a command that comes late has its full time before it is given up": Bug(
        "giving up is counted from the operation's start alone",
        _history(Person(1, "create", "orders", "by-hand"), _publish(HOUR_S, "follow", operation="@0"), plans=(HANGS,)),
    ),
}


@pytest.mark.parametrize("title", BUGS)
def test_a_history_that_once_went_wrong_goes_well(title: str) -> None:
    """The title says what holds now."""
    verdict = run(BUGS[title].history)

    assert verdict.findings == []
    assert verdict.taken == BUGS[title].history.only


@pytest.mark.parametrize("title", [title for title, bug in BUGS.items() if bug.defect])
def test_a_history_that_once_went_wrong_still_would(title: str) -> None:
    """With its bug back in the function, the history is a finding again."""
    bug = BUGS[title]
    (defect,) = (defect for defect in DEFECTS if defect.title == bug.defect)

    with planted(defect):
        verdict = run(bug.history)

    assert verdict.findings


def test_an_instance_that_dies_after_each_put_back_does_not_multiply_them() -> None:
    """Redeliveries put a command back again only once a put-back has come and gone."""
    quota: dict[Site, str] = {(CALL, 0, 0, 0, attempt, 1): "RESOURCE_EXHAUSTED before" for attempt in range(1, 6)}
    deaths = {(CALL, 0, 0, 0, attempt, 2): "crash after" for attempt in range(1, 5)}
    again = {(CALL, 0, 1, 1, attempt, 1): "RESOURCE_EXHAUSTED before" for attempt in range(1, 6)}
    deaths |= {(CALL, 0, 1, 1, attempt, 2): "crash after" for attempt in range(1, 5)}

    verdict = run(_history(_publish(1, "start", database=ORDERS), only=quota | deaths | again))

    assert verdict.findings == []
    put_back = [one for one in Facts(verdict.record).follow_ups if one.about == "retry"]
    assert 2 <= len(put_back) <= 2 * (5 + 5)


def test_a_start_that_is_given_up_unseen_says_that_nobody_follows_what_it_may_have_begun() -> None:
    """Its answer was lost, and then its role was gone until the time was up."""
    unseen = _history(
        _publish(1, "start", database=ORDERS),
        Person(5, "deny", length_s=48 * HOUR_S),
        only={(CALL, 0, 0, 0, 1, 2): "DEADLINE_EXCEEDED after"},
    )

    verdict = run(replace(unseen, deployment=Deployment(give_up_after=timedelta(hours=6))))

    facts = Facts(verdict.record)
    (attempt,) = facts.attempts.values()
    (outcome,) = facts.outcomes
    assert (attempt.code, outcome.name, outcome.operation) == ("OK", "GAVE_UP", "")
    assert outcome.detail.endswith("is followed by nobody.")
    assert verdict.findings == []
