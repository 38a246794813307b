"""What is told, and what was told: `watch` and `why`."""

from __future__ import annotations

import time

import click

from backstop.durations import Duration
from backstop_cli import history, output
from backstop_cli.errors import CliError, Exit
from backstop_cli.messages import Event, Subscription
from backstop_cli.session import DURATION, Session, common, complete
from backstop_cli.waiting import Wait

OVER_S = 20.0
"""A command of which nothing waits or is told for so long is over: between two follow-ups lies one delivery."""

LOOK_S = 2.0
"""Between two looks at the queue."""

ONE_CHAIN = frozenset({"cancel", "follow"})
"""What has one end. A start or a sweep may have many, and whoever watches it later wasn't told how many."""


class Chains:
    """What of a command is still to come, as far as the queue says."""

    def __init__(self, session: Session, message_id: str) -> None:
        """Takes the command's message."""
        self._session, self._message_id = session, message_id
        self._alive_s, self._looked_s = time.monotonic(), float("-inf")
        self._known, self._trouble = False, ""

    def told(self) -> None:
        """Something has been told of it."""
        self._alive_s = time.monotonic()

    def are_over(self, wait: Wait) -> bool:
        """Whether it is over; where the queue can't be read, its first last word counts, and silence says nothing."""
        if time.monotonic() - self._looked_s > LOOK_S:
            self._look()
        if wait.ends() and (wait.many or not self._known or wait.told[-1].data["trigger"].get("action") in ONE_CHAIN):
            return True
        return time.monotonic() - self._alive_s > OVER_S

    def _look(self) -> None:
        waiting, trouble = self._session.follow_ups()
        self._looked_s, self._known = time.monotonic(), self._known or waiting is not None
        if waiting is None or any(one.message_id == self._message_id for one in waiting):
            self._alive_s = self._looked_s
        if trouble and not self._trouble:
            output.err().print(f"Whether it is over can't be seen: {trouble}")
        self._trouble = trouble


@click.command()
@click.option("--subscription", metavar="NAME", help="One that exists; otherwise a temporary one that removes itself.")
@click.option("--command", "message_id", metavar="ID", help="Only what this message came to, until its end.")
@click.option("--timeout", type=DURATION, help="End after this long. [default: never]")
@common
def watch(session: Session, subscription: str | None, message_id: str | None, timeout: str | None) -> int:
    """Show outcomes as they are published, one line each."""
    topic = session.settings.results_topic
    if not topic:
        hint = "Set BACKSTOP_RESULTS_TOPIC, or read the log with `backstop why BACKUP`."
        raise CliError("Without a results topic there are no outcomes to watch.", hint)
    name = subscription or ""
    if name and "/" not in name:
        name = f"projects/{topic.split('/')[1]}/subscriptions/{name}"
    wait, chains = Wait("watch", message_id or ""), Chains(session, message_id or "")
    end_s = time.monotonic() + Duration.parse(timeout).total_seconds() if timeout else float("inf")
    with Subscription(topic, name) as source:
        output.err().print(f"Watching {topic}. Ctrl-C ends this, and nothing else.")
        try:
            over = False
            while time.monotonic() < end_s and not over:
                event = source.next(min(end_s - time.monotonic(), 0.5))
                if event is not None and (wait.take(event) or not message_id):
                    _show(session, event)
                    chains.told()
                over = bool(message_id) and event is None and chains.are_over(wait)
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
    if not message_id:
        return Exit.AS_WISHED
    if not over:
        return Exit.TIMED_OUT
    if not wait.last_words():
        said = "No follow-up of it waits: it is over, or one is in Pub/Sub. To see how things stand"
        output.err().print(f"{said}: {session.advice('status')}")
        return Exit.NOTHING
    return wait.exit_code("watch", detailed=True)


def _show(session: Session, event: Event) -> None:
    data = event.data
    if session.form != "table":
        output.emit({"time": event.time, **data}, session.form, line=True)
        return
    behalf = output.behalf(data.get("trigger", {}).get("action"), data.get("requested_by"), data.get("reason"))
    about = session.named(str(data.get("backup") or data.get("subject") or ""))
    parts = (event.time[11:19], output.outcome(event.outcome), about, f"({behalf})" if behalf else "")
    output.out().print(*filter(None, parts))


@click.command()
@click.argument("backup", shell_complete=complete("backup"))
@click.option(
    "--log", metavar="FILE", help="Log lines, `-` for standard input. [env: BACKSTOP_LOG; default: Cloud Logging]"
)
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="How far back to read.")
@common
def why(session: Session, backup: str, log: str | None, days: int) -> int:
    """Show a backup's history from the function's log, newest last: who asked for what, why, and what came of it."""
    name = _backup_name(session, backup)
    source = log or session.settings["log"]
    entries, cut = history.of_backup(name, "" if source == "cloud" else source, session.settings.project, days)
    documents = [one.document() for one in entries]
    if session.form != "table":
        output.emit({"backup": name, "cut": cut, "history": documents}, session.form)
        return Exit.AS_WISHED
    console = output.out()
    if cut:
        output.err().print(f"These are the newest of more lines than the {history.ENTRIES_MAX} that are read.")
    for one in documents:
        behalf = output.behalf(one["action"], one["requested_by"], one["reason"])
        word = output.outcome(one["outcome"]) if one["outcome"] else one["severity"]
        console.print(one["time"][:19].replace("T", " ") or "-", word, f"({behalf})" if behalf else "")
        console.print(f"  {one['message']}")
    if not documents:
        console.print(f"The log says nothing of {name}.")
    return Exit.AS_WISHED


def _backup_name(session: Session, text: str) -> str:
    """The backup's full name; it may be long gone, so Spanner isn't asked."""
    if "/" not in text:
        text = f"backups/{text}"
    return session.resolve(text, "backup", "operation").name.partition("/operations/")[0]
