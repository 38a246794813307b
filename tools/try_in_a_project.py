"""Tries the whole deployment before a release: apply, start, cancel, a deletion, no alarm, destroy. Prints what it saw.

    python -m tools.try_in_a_project --project P --region R --instance I --database D

does so in a real project, for cents; with --dry-run it only says what it would run. With --emulators, and nothing
else, it takes the same steps on this machine, from the second on and without the last, as CI does.

The database should be a small one that nobody minds: its backups are made and deleted. A backup of a small database
takes some minutes. Terraform's state stays in build/try, so that a try that broke off can be destroyed from there.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from demo.stack import INSTANCE, Stack
from spanner_backup_emulator.spanner.plans import Plan

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "try"
PREFIX = "backstop-try"

END_S_MAX = 5 * 3600.0
"""A backup takes 1 to 4 hours where the database isn't small."""

PULL_PAUSE_S = 5.0

ALARMING = ("FAILED", "REJECTED", "COMPLETED_KEPT", "DELETE_BLOCKED", "GAVE_UP", "GONE")
"""Outcomes that an alert of the module tells of."""

Data = dict[str, object]


class Place(Protocol):
    """Where it is tried."""

    database: str

    def publish(self, command: Data) -> str:
        """Publishes a command and returns its message id."""

    def outcomes(self) -> list[Data]:
        """Every outcome that was told so far."""


class Row(NamedTuple):
    """One line of the report."""

    step: str
    saw: str
    seconds: float


class Project:
    """A real project, by way of terraform and gcloud."""

    def __init__(self, project: str, region: str, instance: str, database: str, *, dry_run: bool) -> None:
        self._project, self._region, self._instance = project, region, instance
        self._dry_run = dry_run
        self._told: list[Data] = []
        self.database = f"projects/{project}/instances/{instance}/databases/{database}"

    def apply(self) -> str:
        """Deploys the module, and subscribes to what it tells."""
        main = {
            "module": {
                "backstop": {
                    "source": str(ROOT / "terraform"),
                    "project_id": self._project,
                    "region": self._region,
                    "prefix": PREFIX,
                    "queue_name": f"{PREFIX}-{int(time.time())}",
                    "role_id": f"backstop_try_{int(time.time())}",
                    "instances": {self._instance: {}},
                }
            }
        }
        if not self._dry_run:
            WORK.mkdir(parents=True, exist_ok=True)
            (WORK / "main.tf.json").write_text(json.dumps(main, indent=2))
        self._run("terraform", f"-chdir={WORK}", "init", "-input=false")
        self._run("terraform", f"-chdir={WORK}", "apply", "-input=false", "-auto-approve")
        topic = f"--topic={PREFIX}-results"
        self._run("gcloud", "pubsub", "subscriptions", "create", f"{PREFIX}-seen", topic, f"--project={self._project}")
        return "applied at once"

    def publish(self, command: Data) -> str:
        """Publishes with gcloud."""
        message, form = f"--message={json.dumps(command)}", "--format=value(messageIds[0])"
        return self._run(
            "gcloud", "pubsub", "topics", "publish", f"{PREFIX}-commands", message, f"--project={self._project}", form
        )

    def outcomes(self) -> list[Data]:
        """Pulls what was told since the last time."""
        pull = ("gcloud", "pubsub", "subscriptions", "pull", f"{PREFIX}-seen", "--auto-ack", "--limit=100")
        received = json.loads(self._run(*pull, "--format=json", f"--project={self._project}") or "[]")
        self._told += [json.loads(base64.b64decode(one["message"]["data"])) for one in received]
        if not self._dry_run:
            time.sleep(PULL_PAUSE_S)
        return self._told

    def destroy(self) -> str:
        """Takes everything away again."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("gcloud", "pubsub", "subscriptions", "delete", f"{PREFIX}-seen", f"--project={self._project}")
        self._run("terraform", f"-chdir={WORK}", "destroy", "-input=false", "-auto-approve")
        left = self._run("terraform", f"-chdir={WORK}", "state", "list")
        return f"left behind: {left}" if left else "nothing is left in the state"

    def _run(self, *command: str) -> str:
        print("+", " ".join(command), flush=True)
        if self._dry_run:
            return ""
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Emulated:
    """The emulators, with the function beside them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.database = f"{INSTANCE}/databases/try"
        stack.spanner.add_database(self.database)

    def next_backup_takes(self, plan: Plan) -> None:
        """Decides how the next backup goes."""
        self._stack.spanner.set_plan(self.database, plan)

    def publish(self, command: Data) -> str:
        """Publishes with Google's client."""
        return self._stack.publish(command)

    def outcomes(self) -> list[Data]:
        """What was told so far."""
        time.sleep(0.05)
        return [event.data for event in self._stack.events()]


def wait(place: Place, message_id: str, *wanted: str, dry_run: bool) -> Data:
    """The first of the wanted outcomes that a command comes to.

    Raises:
        TimeoutError: It came to none of them; what it came to is in the text.
    """
    end_s = time.monotonic() + END_S_MAX
    told: list[Data] = []
    while time.monotonic() < end_s:
        told = [it for it in place.outcomes() if _trigger(it) == message_id]
        found = next((it for it in told if it["outcome"] in wanted), None)
        if found is not None:
            return found
        if dry_run:
            return {"outcome": "|".join(wanted), "backup": "BACKUP"}
        if any(it["outcome"] in ALARMING for it in told):
            break
    raise TimeoutError(f"waited for {' or '.join(wanted)}; told: {told}")


def life(
    place: Place, prepare: Callable[[str], None], *, dry_run: bool = False
) -> Iterator[tuple[str, Callable[[], str]]]:
    """The steps from the second on, each with its title; the same wherever it is tried."""
    ids: dict[str, str] = {}
    backup = ""

    def start() -> str:
        prepare("long")
        ids["start"] = place.publish({"action": "start", "database": place.database, "retention": "6h"})
        return str(wait(place, ids["start"], "STARTED", dry_run=dry_run)["outcome"])

    def cancel() -> str:
        message_id = place.publish({"action": "cancel", "database": place.database})
        # Of a small database it may come too late; what is seen then is said.
        ends = ("CANCELLED", "COMPLETED_THEN_DELETED", "COMPLETED_KEPT")
        return str(wait(place, message_id, *ends, dry_run=dry_run)["outcome"])

    def complete() -> str:
        nonlocal backup
        prepare("short")
        message_id = place.publish({"action": "start", "database": place.database, "retention": "6h"})
        found = wait(place, message_id, "COMPLETED", dry_run=dry_run)
        backup = str(found["backup"])
        return str(found["outcome"])

    def delete() -> str:
        # Named, and ended less than ten minutes ago: so it counts as a cancel that came too late.
        message_id = place.publish({"action": "cancel", "backup": backup})
        return str(wait(place, message_id, "COMPLETED_THEN_DELETED", dry_run=dry_run)["outcome"])

    def no_alarm() -> str:
        alarming = [str(it["detail"]) for it in place.outcomes() if it["outcome"] in ALARMING]
        if alarming:
            raise AssertionError(f"would have alarmed: {alarming}")
        return "no outcome that alarms"

    yield "start", start
    yield "cancel", cancel
    yield "a backup that completes", complete
    yield "a deletion", delete
    yield "alerts off", no_alarm


def tried(steps: Iterator[tuple[str, Callable[[], str]]] | Sequence[tuple[str, Callable[[], str]]]) -> Iterator[Row]:
    """Takes each step, and says what was seen and how long it took."""
    for title, step in steps:
        begin_s = time.monotonic()
        saw = step()
        yield Row(title, saw, time.monotonic() - begin_s)


def report(rows: Sequence[Row]) -> str:
    """The report, as a table."""
    lines = [f"| {row.step} | {row.saw} | {row.seconds:.1f} |" for row in rows]
    return "\n".join(["| step | saw | seconds |", "|---|---|---|", *lines])


def with_emulators() -> list[Row]:
    """Tries the function on this machine."""
    with Stack() as stack:
        place = Emulated(stack)
        plans = {"long": Plan(), "short": Plan(duration=Plan().queue_delay)}
        return list(tried(life(place, lambda kind: place.next_backup_takes(plans[kind]))))


def in_project(place: Project, *, dry_run: bool) -> list[Row]:
    """Tries a real deployment, and takes it away whatever comes."""
    rows: list[Row] = []
    try:
        rows += tried([("apply", place.apply)])
        for row in tried(life(place, lambda _: None, dry_run=dry_run)):
            rows.append(row)
    finally:
        rows += tried([("destroy", place.destroy)])
        print(report(rows), flush=True)
    return rows


def _trigger(told: Data) -> object:
    trigger = told["trigger"]
    assert isinstance(trigger, dict)
    return trigger["message_id"]


def main(arguments: Sequence[str]) -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulators", action="store_true", help="on this machine, from the second step on")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run, and run nothing")
    for name in ("project", "region", "instance", "database"):
        parser.add_argument(f"--{name}")
    chosen = parser.parse_args(arguments)
    if chosen.emulators:
        print(report(with_emulators()))
        return
    named = {name: getattr(chosen, name) for name in ("project", "region", "instance", "database")}
    if not all(named.values()):
        parser.error("--project, --region, --instance and --database are needed, or --emulators")
    in_project(Project(**named, dry_run=chosen.dry_run), dry_run=chosen.dry_run)


if __name__ == "__main__":
    main(sys.argv[1:])
