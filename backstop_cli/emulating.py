"""Everything on this machine, without a cloud account: `emulate`."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backstop.durations import Duration
from backstop_cli import output
from backstop_cli.errors import CliError
from backstop_cli.session import DURATION

if TYPE_CHECKING:
    from demo.stack import Stack

CHECKOUT = ("", "packages/spanner-backup-emulator/src")
"""Where a checkout has what `pip install .` of it leaves out: the stack, and the emulators that it starts."""

POLL_S = 0.1
"""Between two looks at what the function has printed."""


@click.command()
@click.option("--database", "databases", multiple=True, metavar="ID", default=("orders", "ledger", "search"))
@click.option("--backup-takes", type=DURATION, default="1m", show_default=True, help="How long a backup takes.")
@click.option("--cancel-takes", type=DURATION, default="3s", show_default=True, help="How long a cancel takes.")
@click.option("--directory", type=click.Path(path_type=Path), help="Where its settings and its log are written.")
def emulate(databases: tuple[str, ...], backup_takes: str, cancel_takes: str, directory: Path | None) -> None:
    """Start emulators of Spanner, Pub/Sub and Cloud Tasks, and the function, until Ctrl-C."""
    sys.path += [str(Path.cwd() / place) for place in CHECKOUT]
    try:
        from demo.stack import PROJECT, Stack
        from spanner_backup_emulator.spanner.plans import Plan
    except ImportError as error:
        hint = "Clone the repository, and type it there."
        raise CliError("The emulators are in a checkout, and this folder is none.", hint) from error
    for number in (signal.SIGINT, signal.SIGTERM):  # A shell lets what it starts in the background ignore Ctrl-C.
        signal.signal(number, signal.default_int_handler)
    folder = directory or Path(tempfile.mkdtemp(prefix="backstop-"))
    folder.mkdir(parents=True, exist_ok=True)
    instance = f"{PROJECT}/instances/prod"
    plan = Plan(duration=Duration.parse(backup_takes), cancel_duration=Duration.parse(cancel_takes))
    with Stack({"BACKSTOP_LOOK_MAX": "5s"}) as stack:
        for database in databases:
            stack.spanner.add_database(f"{instance}/databases/{database}")
            stack.spanner.set_plan(f"{instance}/databases/{database}", plan)
        log = folder / "log"
        stop = threading.Event()
        writer = threading.Thread(target=write_log, args=(stack, log, stop), name="log")
        writer.start()
        variables = environment(stack, instance, log)
        lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        (folder / "env").write_text("".join(lines))
        output.out().print(_greeting(folder, databases[0]))
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            output.err().print("Stopped; nothing is left.")
        finally:
            stop.set()
            writer.join()


def environment(stack: Stack, instance: str, log: Path) -> dict[str, str]:
    """The variables that lead to a deployment on the emulators."""
    return {
        "SPANNER_EMULATOR_HOST": stack.spanner.address,
        "PUBSUB_EMULATOR_HOST": stack.pubsub_address,
        "CLOUD_TASKS_EMULATOR_HOST": stack.tasks.address,
        "BACKSTOP_PROJECT": instance.split("/")[1],
        "BACKSTOP_INSTANCE": instance,
        "BACKSTOP_COMMANDS_TOPIC": stack.commands,
        "BACKSTOP_RESULTS_TOPIC": stack.results,
        "BACKSTOP_TASKS_QUEUE": stack.queue,
        "BACKSTOP_LOG": str(log),
    }


def _greeting(folder: Path, database: str) -> str:
    lines = [
        "Emulators and function are running. Ctrl-C ends them. In another terminal, type",
        "",
        f"  . {shlex.quote(str(folder / 'env'))}",
        "",
        "and then try:",
        "",
        f"  backstop start {database} --wait",
        "  backstop status",
        f"  backstop cancel {database} --wait",
    ]
    return "\n".join(lines)


def write_log(stack: Stack, log: Path, stop: threading.Event) -> None:
    """Writes what the function prints into a file, each line with its time, as Cloud Logging would add it."""
    written, over = 0, False
    with log.open("a") as sink:
        while not over:
            over = stop.wait(POLL_S)
            lines: list[dict[str, Any]] = stack.function.lines
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            for line in lines[written : len(lines)]:
                sink.write(json.dumps({"time": now, **line}) + "\n")
                written += 1
            sink.flush()
