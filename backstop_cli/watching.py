"""What is told, and what was told: `watch` and `why`."""

from __future__ import annotations

import time

import click

from backstop.durations import Duration
from backstop_cli import history, output
from backstop_cli.errors import CliError, Exit
from backstop_cli.messages import Event, Subscription
from backstop_cli.session import DURATION, Session, common, complete
from backstop_cli.waiting import Chains, Wait


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
