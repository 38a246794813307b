"""What is told, and what was told: `watch` and `why`."""

from __future__ import annotations

import time

import click

from backstop.durations import Duration
from backstop_cli import history, naming, output
from backstop_cli.errors import CliError, Exit
from backstop_cli.messages import Event, Subscription
from backstop_cli.naming import short
from backstop_cli.session import DURATION, Session, common, complete
from backstop_cli.waiting import Wait


@click.command()
@click.option("--subscription", metavar="NAME", help="One that exists; otherwise a temporary one that removes itself.")
@click.option("--command", "message_id", metavar="ID", help="Only what this message came to, until its end.")
@click.option("--timeout", type=DURATION, help="End after this long. [default: never]")
@common
def watch(session: Session, subscription: str | None, message_id: str | None, timeout: str | None) -> int:
    """Show outcomes as they are published, one line each."""
    topic = session.settings.results_topic
    if not topic:
        hint = "Set BACKSTOP_RESULTS_TOPIC, or read the log with `backstop why`."
        raise CliError("Without a results topic there are no outcomes to watch.", hint)
    name = subscription or ""
    if name and "/" not in name:
        name = f"projects/{topic.split('/')[1]}/subscriptions/{name}"
    wait = Wait("watch", message_id or "")
    end_s = time.monotonic() + Duration.parse(timeout).total_seconds() if timeout else float("inf")
    with Subscription(topic, name) as source:
        output.err().print(f"Watching {topic}. Ctrl-C ends this, and nothing else.", soft_wrap=True)
        try:
            while time.monotonic() < end_s and not (message_id and wait.ends()):
                event = source.next(min(end_s - time.monotonic(), 0.5))
                if event is not None and (wait.take(event) or not message_id):
                    _show(session, event)
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
    if message_id and not wait.ends():
        return Exit.TIMED_OUT
    return wait.exit_code("watch", detailed=True) if message_id else Exit.AS_WISHED


def _show(session: Session, event: Event) -> None:
    data = event.data
    if session.form != "table":
        output.emit({"time": event.time, **data}, session.form, line=True)
        return
    behalf = output.behalf(data.get("trigger", {}).get("action"), data.get("requested_by"), data.get("reason"))
    about = short(str(data.get("backup") or data.get("subject") or ""))
    parts = (event.time[11:19], output.outcome(event.outcome), about, f"({behalf})" if behalf else "")
    output.out().print(*filter(None, parts), soft_wrap=True)


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
    entries = history.of_backup(name, "" if source == "cloud" else source, session.settings.project, days)
    documents = [one.document() for one in entries]
    if session.form != "table":
        output.emit({"backup": name, "history": documents}, session.form)
        return Exit.AS_WISHED
    console = output.out()
    for one in documents:
        behalf = output.behalf(one["action"], one["requested_by"], one["reason"])
        word = output.outcome(one["outcome"]) if one["outcome"] else one["severity"]
        console.print(one["time"][:19].replace("T", " ") or "-", word, f"({behalf})" if behalf else "")
        console.print(f"  {naming.shortened(one['message'])}", soft_wrap=True)
    if not documents:
        console.print(f"The log says nothing of {name}.", soft_wrap=True)
    return Exit.AS_WISHED


def _backup_name(session: Session, text: str) -> str:
    """The backup's full name; it may be long gone, so Spanner isn't asked."""
    if "/" not in text:
        text = f"backups/{text}"
    return session.resolve(text, "backup", "operation").name.partition("/operations/")[0]
