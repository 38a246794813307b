"""The percentages that operations report, by the plan's model."""

from __future__ import annotations

import pytest
from spanner_world import HOUR, MINUTE, START, Desk

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.messages import Message, stamp
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.plans import Plan, ProgressModel, Status, percent_at
from spanner_backup_emulator.spanner.state import State


@pytest.mark.parametrize(
    ("model", "percents"),
    [
        (ProgressModel.LINEAR, [0, 25, 50, 75, 100]),
        (ProgressModel.STUCK, [0, 0, 0, 0, 0]),
        (ProgressModel.JUMPS, [0, 0, 50, 50, 100]),
        (ProgressModel.BACKWARDS, [0, 30, 30, 65, 100]),
        (ProgressModel.MISSING, [0, 0, 0, 0, 0]),
    ],
)
def test_each_model_has_its_curve(model: ProgressModel, percents: list[int]) -> None:
    """The percentage at each quarter of the work, and beyond both ends as at the nearer one."""
    assert [percent_at(model, quarter / 4) for quarter in range(5)] == percents
    assert percent_at(model, -1.0) == percents[0]
    assert percent_at(model, 2.0) == percents[-1]


def test_backwards_goes_backwards() -> None:
    """The backwards model falls at half time."""
    assert percent_at(ProgressModel.BACKWARDS, 0.49) > percent_at(ProgressModel.BACKWARDS, 0.51)


def test_a_finished_operation_reports_all_of_it() -> None:
    """Even a stuck operation is at 100 % with an end time once it has succeeded."""
    progress = _ended(Plan(progress=ProgressModel.STUCK)).progress

    assert progress == pb.OperationProgress(progress_percent=100, start_time=stamp(START), end_time=stamp(START + HOUR))


def test_missing_progress_stays_missing() -> None:
    """The missing model leaves the times out, too, to the end."""
    assert not _ended(Plan(progress=ProgressModel.MISSING)).HasField("progress")


def test_what_stopped_halfway_stays_there() -> None:
    """A cancelled operation keeps the percentage that it had come to."""
    desk = Desk()
    started = desk.create()
    desk.clock.tick(30 * MINUTE)
    desk.cancel(started.name)
    desk.clock.tick(HOUR)

    progress = desk.metadata(started.name).progress
    assert (progress.progress_percent, progress.end_time) == (50, stamp(START + 30 * MINUTE))


def test_a_backup_may_take_no_time_at_all() -> None:
    """A plan without a duration is done by the next look, even if that is at the same instant."""
    desk = Desk(State(default_plan=Plan(duration=HOUR - HOUR, error=Status(Code.INTERNAL, "at once"))))
    started = desk.create()

    assert not started.done
    assert desk.operation(started.name).done


def _ended(plan: Plan) -> Message:
    desk = Desk(State(default_plan=plan))
    started = desk.create()
    desk.clock.tick(HOUR)
    return desk.metadata(started.name)
