"""Publishing a command and, if it is asked for, following it to its end."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from backstop.durations import Duration
from backstop.handlers import SWEPT_MAX
from backstop_cli import naming, output
from backstop_cli.errors import CliError, Exit, is_gone, words
from backstop_cli.messages import Event, Subscription, publish
from backstop_cli.naming import short
from backstop_cli.session import DURATION, F, Session
from backstop_cli.settings import CLAIM_LENGTH_MAX
from backstop_cli.spanner import Operation
from backstop_cli.waiting import LOOK_S, Chains, Reading, Rest, Source, Wait, until_over


@dataclass(frozen=True, slots=True)
class Request:
    """A command to be published."""

    fields: dict[str, Any]  # Its fields; those that are None, False or empty are left out.
    wish: str  # What the exit code is judged by.
    about: str  # What it is about, for people.
    # How to find the operations that it may mean, by when it was published, and its message.
    find: Callable[[datetime, str], Sequence[Operation]] | None = None
    # Of a sweep: how to find the operations that it is to deal with, by when it was published, and how to go on.
    due: Callable[[datetime], set[str]] | None = None
    again: str = ""

    @property
    def action(self) -> str:
        """What it asks for."""
        return str(self.fields["action"])

    @property
    def target(self) -> str:
        """The full name of what it is about."""
        kinds = ("operation", "backup", "database", "instance")
        return str(next(name for kind in kinds if (name := self.fields.get(kind))))

    @property
    def many(self) -> bool:
        """Whether it starts many backups."""
        return self.action == "start" and "instance" in self.fields and not self.fields.get("dry_run")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How to wait."""

    wait: bool = False  # Whether to.
    timeout: str = "6h"  # For how long.
    detailed: bool = False  # Whether what was wished for keeps an exit code of its own.
    reason: str = ""  # Why the command is given.


def waitable(command: F) -> F:
    """Gives a command the options of everything that is published; it is called with a `Waiting` in their place."""

    def with_waiting(session: Session, wait: bool, timeout: str, detailed: bool, reason: str, **given: Any) -> Any:  # noqa: FBT001 click's own
        return command(session, waiting=Waiting(wait, timeout, detailed, reason or ""), **given)

    decorated: Any = with_waiting
    for option in (
        click.option("--detailed-exitcode", "detailed", is_flag=True, help="Tell endings as wished apart, too."),
        click.option("--timeout", type=DURATION, default="6h", show_default=True, help="How long to wait at most."),
        click.option("--wait", is_flag=True, help="Follow it to its end."),
        click.option(
            "--as", "requested_by", metavar="WHO", help="Who asks. [default: gcloud's account, or your login]"
        ),
        click.option("--reason", metavar="TEXT", help="Why, for those who wonder later."),
    ):
        decorated = option(decorated)
    decorated.__name__, decorated.__doc__ = command.__name__, command.__doc__
    return decorated  # type: ignore[no-any-return]


def run(session: Session, request: Request, waiting: Waiting) -> int:
    """Publishes a command, and waits for its end if that was asked for; what it returns is for the shell."""
    claims = {"requested_by": session.settings["requested_by"], "reason": waiting.reason}
    for name, text in claims.items():
        if len(text) > CLAIM_LENGTH_MAX:
            raise CliError(f"{name} must have at most {CLAIM_LENGTH_MAX} characters; found {len(text)}: {text!r}.")
    command = {name: value for name, value in (request.fields | claims).items() if value not in (None, False, "", ())}
    topic = session.settings.commands_topic
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(_source(session)) if waiting.wait else None
        published = datetime.now(UTC)
        message_id = publish(topic, command)
        document = {"message_id": message_id, "topic": topic, "command": command}
        if session.form == "table":
            output.out().print(f"Published {request.action} of {request.about} as message {message_id}.")
        if not waiting.wait:
            if session.form != "table":
                output.emit(document, session.form)
            return Exit.AS_WISHED
        if source is None:
            source = _reading(session, request, message_id, published)
        rest = Rest(Chains(session, message_id), partial(request.due, published)) if request.due else None
        return _follow(session, request, waiting, document, source, rest)


@contextlib.contextmanager
def _source(session: Session) -> Iterator[Source | None]:
    """A temporary subscription, made before the command is published; None where there is no topic."""
    from google.api_core import exceptions

    topic = session.settings.results_topic
    subscription = Subscription(topic) if topic else None
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(subscription) if subscription else None
        except (exceptions.NotFound, exceptions.PermissionDenied) as error:
            output.err().print(f"Outcomes can't be received ({error.message}); reads Spanner instead.")
            made = None
        yield made


def _reading(session: Session, request: Request, message_id: str, published: datetime) -> Source:
    if request.find is None or request.fields.get("dry_run"):
        hint = f"It was published as message {message_id}, and goes on. Name a results topic, or leave out --wait."
        raise CliError(f"Without a results topic the end of this {request.wish} can't be seen.", hint)
    return Reading(session.spanner, message_id, partial(request.find, published, message_id), request.wish)


def _follow(
    session: Session, request: Request, waiting: Waiting, document: dict[str, Any], source: Source, rest: Rest | None
) -> int:
    from google.api_core.exceptions import GoogleAPIError

    wait = Wait(request.action, str(document["message_id"]), request.many)
    seconds = Duration.parse(waiting.timeout).total_seconds()
    code: int
    try:
        with Picture(session, wait) as picture:
            over = until_over(wait, source, seconds, picture.show, *([rest.is_over] if rest else []))
        code = wait.exit_code(request.wish, detailed=waiting.detailed) if over else Exit.TIMED_OUT
        if rest and code not in {Exit.TIMED_OUT, Exit.REFUSED, Exit.GAVE_UP} and (left := rest.left(wait)):
            code = code if request.fields.get("dry_run") else Exit.LEFT
            said = f"One sweep takes at most {SWEPT_MAX}, and may still wait for Spanner's quota."
            output.err().print(f"Left: {len(left)}. {said} To go on: {request.again}")
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except GoogleAPIError as error:
        output.err().print(f"The end can't be seen: {words(error)[1]}")
        code = Exit.GOOGLE
    if session.form != "table":
        events = [event.data for event in wait.told]
        last = wait.told[-1].outcome if wait.told else None
        output.emit({**document, "events": events, "outcome": last, "exit_code": int(code)}, session.form)
    if any(event.outcome == "DELETE_BLOCKED" for event in wait.told) and request.wish == "sweep":
        output.err().print("Nobody tries again by itself. Sweep again once the restore or the copy is over.")
    if any(event.outcome == "COMPLETED_KEPT" and is_gone(*event.said, request.wish) for event in wait.told):
        output.err().print("The backup was not there when Backstop looked: somebody has deleted it, or it has expired.")
    if code in {Exit.TIMED_OUT, Exit.INTERRUPTED, Exit.GOOGLE}:
        why = f"Waited {waiting.timeout}" if code == Exit.TIMED_OUT else "Stopped waiting"
        said = f"{why}; the {request.action} goes on without this command."
        output.err().print(f"{said}\n{how_to_go_on(session, request, wait)}")
    return code


def how_to_go_on(session: Session, request: Request, wait: Wait) -> str:
    """What to type to see the end all the same."""
    backup = (wait.operation or request.target).partition("/operations/")[0]
    if "/backups/" in backup and not wait.many:
        look = session.advice("describe", session.spelled(backup))
    else:
        look = session.advice("status", session.spelled(naming.instance_of(backup)))
    lines = [f"To see how it stands: {look}"]
    if session.settings.results_topic:
        lines.append(f"To go on watching: {session.advice('watch', '--command', wait.message_id)}")
    return "\n".join(lines)


@dataclass
class Picture:
    """What is seen while a command is waited for: a line for each outcome, and below them a bar, on a terminal."""

    session: Session
    wait: Wait
    _progress: Progress | None = None
    _task: Any = None
    _looked_s: float = field(default=0.0)

    def __enter__(self) -> Self:
        """Draws the bar, if there is somebody to see it."""
        if sys.stderr.isatty() and self.session.form == "table":
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
            more: Any = {"console": output.err(), "transient": True, "redirect_stdout": sys.stdout.isatty()}
            self._progress = Progress(*columns, TimeElapsedColumn(), **more)
            self._progress.start()
            self._task = self._progress.add_task("waiting", total=100)
        return self

    def __exit__(self, *_: object) -> None:
        """Takes the bar away."""
        if self._progress is not None:
            self._progress.stop()

    def show(self, event: Event | None) -> None:
        """Shows an outcome, or that time has passed."""
        if event is not None and self.session.form == "table":
            output.out().print(output.outcome(event.outcome), str(event.data.get("detail", "")))
        if self._progress is not None and time.monotonic() - self._looked_s > LOOK_S:
            self._looked_s = time.monotonic()
            self._look(self._progress)

    def _look(self, progress: Progress) -> None:
        from google.api_core.exceptions import GoogleAPIError

        if not self.wait.operation:
            return
        with contextlib.suppress(GoogleAPIError):  # The bar is only for show.
            operation = self.session.spanner.operation(self.wait.operation)
            if operation is not None:
                about = f"{short(operation.database)} {operation.state.lower()}"
                progress.update(self._task, completed=operation.percent, description=about)
