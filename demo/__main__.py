"""`python -m demo`: shows Backstop at work, and ends with 0 only if everything ended as it should."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.picture import INTRODUCTION, WIDTH, Ending, Life, endings_table, line, lives_table, summary, write_svg
from demo.scenarios import SCENARIOS, Scenario
from demo.stack import Event, Stack
from spanner_backup_emulator.serving import wall_clock
from spanner_backup_emulator.spanner.history import What

SECONDS_MAX = 40.0
"""A demo that has not ended by then has gone wrong."""

FRAME_S = 0.1

GONE = frozenset({What.BACKUP_DELETED, What.BACKUP_REMOVED, What.BACKUP_EXPIRED})


@dataclass
class Story:
    """A scenario while it is played.

    Attributes:
        scenario: What is to happen.
        message_ids: Its commands, the start first.
        percent: The last progress seen.
    """

    scenario: Scenario
    message_ids: list[str]
    percent: int = 0


class Demo:
    """Plays the scenarios on a stack, and prints what happens.

    Attributes:
        lines: What was printed.
    """

    def __init__(self, stack: Stack, console: Console) -> None:
        self._stack = stack
        self._console = console
        self._stories: list[Story] = []
        self._begun_s = time.monotonic()
        self._printed = 0
        self.lines: list[Text] = []

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return time.monotonic() - self._begun_s

    def play(self) -> list[Ending]:
        """Plays them all, and returns how they ended."""
        for scenario in SCENARIOS:
            self._stack.spanner.set_plan(scenario.database, scenario.plan)
        actors = [threading.Thread(target=self._act, args=(scenario,)) for scenario in SCENARIOS]
        for actor in actors:
            actor.start()
        with Live(console=self._console, refresh_per_second=10, transient=True, screen=False) as live:
            while self.seconds < SECONDS_MAX and not self._over():
                time.sleep(FRAME_S)
                live.update(self._picture())
                self._print_news()
        for actor in actors:
            actor.join()
        return [self._ending(story) for story in self._in_order()]

    def _act(self, scenario: Scenario) -> None:
        """What people do to one backup."""
        backup_id = scenario.backup.rpartition("/")[2]
        start = {"action": "start", "database": scenario.database, "backup_id": backup_id, **scenario.command}
        limit = f"published, with cancel_after {start['cancel_after']}" if "cancel_after" in start else "published"
        self._print(self.seconds, scenario.name, "start", limit)
        story = Story(scenario, [self._stack.publish(start)])
        self._stories.append(story)
        if scenario.cancel_after_s is not None:
            time.sleep(scenario.cancel_after_s)
            self._print(self.seconds, scenario.name, "cancel", "published")
            story.message_ids.append(self._stack.publish({"action": "cancel", "backup": scenario.backup}))
        if scenario.restore_s:
            self._restore(scenario)

    def _restore(self, scenario: Scenario) -> None:
        """Restores from the backup in the very moment in which it is complete.

        Spanner is held still around that moment; otherwise Backstop might be the faster one.
        """
        spanner = self._stack.spanner
        (started,) = (event for event in spanner.history() if event[1:3] == (What.BACKUP_STARTED, scenario.backup))
        ready_at = started.at + scenario.plan.duration
        time.sleep(max((ready_at - wall_clock()).total_seconds() - 0.3, 0))
        with spanner.lock:
            time.sleep(max((ready_at - wall_clock()).total_seconds() + 0.01, 0))
            spanner.begin_restore(
                scenario.backup, f"{scenario.instance}/databases/restored", timedelta(seconds=scenario.restore_s)
            )
        self._print(self.seconds, scenario.name, "", "somebody begins to restore from the backup")

    def _over(self) -> bool:
        return len(self._stories) == len(SCENARIOS) and all(map(self._is_as_expected, self._stories))

    def _is_as_expected(self, story: Story) -> bool:
        outcomes = tuple(
            tuple(event.outcome for event in self._outcomes(message_id)) for message_id in story.message_ids
        )
        return outcomes == story.scenario.expected

    def _outcomes(self, message_id: str) -> list[Event]:
        """What a command has come to so far."""
        return [event for event in self._stack.events() if event.data["trigger"]["message_id"] == message_id]

    def _in_order(self) -> list[Story]:
        return sorted(self._stories, key=lambda story: SCENARIOS.index(story.scenario))

    def _picture(self) -> Table:
        lives = []
        for story in self._in_order():
            state, percent = self._state(story.scenario)
            story.percent = min(max(story.percent, percent), 100) if state else story.percent
            outcomes = self._outcomes(story.message_ids[-1])
            outcome = outcomes[-1].outcome if outcomes else ""
            lives.append(Life(story.scenario.name, state, story.percent, outcome))
        return lives_table(lives)

    def _state(self, scenario: Scenario) -> tuple[str, int]:
        """A backup's state and progress, taken from the emulator's record so that no call is made and counted."""
        state, percent = "", 0
        for event in self._stack.spanner.history():
            if event.resource != scenario.backup:
                continue
            if event.what is What.BACKUP_STARTED:
                state, percent = "CREATING", int(100 * (wall_clock() - event.at) / scenario.plan.duration)
            elif event.what is What.BACKUP_READY:
                state, percent = "READY", 100
            elif event.what in GONE:
                state = ""
        return state, percent

    def _print_news(self) -> None:
        """Prints what Backstop has published, as far as it is known which command it is about."""
        commands = {
            message_id: (story.scenario.name, command)
            for story in list(self._stories)
            for message_id, command in zip(story.message_ids, ("start", "cancel"), strict=False)
        }
        for event in self._stack.events()[self._printed :]:
            command = commands.get(event.data["trigger"]["message_id"])
            if command is None:
                return
            self._print(event.received_s - self._begun_s, *command, event.outcome)
            self._printed += 1

    def _print(self, seconds: float, name: str, command: str, what: str) -> None:
        text = line(seconds, name, command, what)
        self._console.print(text)
        self.lines.append(text)

    def _ending(self, story: Story) -> Ending:
        scenario, events = story.scenario, self._outcomes(story.message_ids[-1])
        history = [event for event in self._stack.spanner.history() if scenario.instance in event.resource]
        calls = [event for event in history if event.what is What.CALLED]
        state, _ = self._state(scenario)
        return Ending(
            name=scenario.name,
            asked=scenario.asked,
            spanner=scenario.spanner,
            outcome=events[-1].outcome if events else "none",
            as_expected=self._is_as_expected(story) and bool(state) is scenario.left_behind,
            polls=sum(event.cause == "GetOperation" for event in calls),
            calls=len(calls),
            left_behind="the backup" if state else "nothing",
        )


def main() -> int:
    """Runs the demo.

    Returns:
        0 if every backup ended as its scenario says, otherwise 1.
    """
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--svg", type=Path, help="where to draw the picture")
    options = parser.parse_args()
    console = Console()
    console.width = min(console.width, WIDTH)
    console.print(INTRODUCTION)
    with Stack() as stack:
        demo = Demo(stack, console)
        endings = demo.play()
    console.print()
    console.print(endings_table(endings))
    good = len(endings) == len(SCENARIOS) and all(ending.as_expected for ending in endings)
    console.print(summary(endings, demo.seconds, good=good))
    if options.svg:
        write_svg(options.svg, demo.lines, endings_table(endings))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
