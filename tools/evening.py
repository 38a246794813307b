"""Draws a person's evening with the command line, as it really went on the emulators: `python -m tools.evening`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from backstop_cli.emulating import environment, write_log
from demo.stack import PROJECT, Stack
from spanner_backup_emulator.spanner.plans import Plan

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "cli.svg"
WIDTH = 92

INSTANCE = f"{PROJECT}/instances/prod"
BEFORE = (
    'backstop start orders --backup-id orders-monday --reason "before the migration"',
    "backstop start ledger --backup-id ledger-monday",
    "backstop status",
    "backstop describe orders-monday",
)
LATER = (
    'backstop cancel orders-monday --yes --wait --as bo@example.com --reason "it slows the shop"',
    "backstop why orders-monday",
)
WATCH = "backstop watch"


def typed(line: str, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """Starts what a person types."""
    command = [sys.executable, "-m", "backstop_cli", *shlex.split(line)[1:]]
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def show(console: Console, line: str, process: subprocess.Popen[str]) -> None:
    """Waits for its end, and shows it as the person sees it."""
    out, err = process.communicate(timeout=120)
    if process.returncode != 0:
        raise RuntimeError(f"{line}: {err}")
    console.print(Text(f"$ {line}", style="bold"))
    console.print(Text.from_ansi(out.rstrip()))
    console.print()


def main() -> None:
    """Plays the evening and draws it."""
    with TemporaryDirectory() as folder, Stack() as stack, Path(os.devnull).open("w") as nowhere:
        for name in ("orders", "ledger"):
            stack.spanner.add_database(f"{INSTANCE}/databases/{name}")
            stack.spanner.set_plan(f"{INSTANCE}/databases/{name}", Plan(timedelta(seconds=12), cancel_duration=None))
        log, stop = Path(folder) / "log", threading.Event()
        writer = threading.Thread(target=write_log, args=(stack, log, stop))
        writer.start()
        own = {"COLUMNS": str(WIDTH), "FORCE_COLOR": "1", "BACKSTOP_REQUESTED_BY": "anna@example.com"}
        environ = {**os.environ, **own, **environment(stack, INSTANCE, log)}
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        watch = typed(f"{WATCH} --timeout 20s", environ)
        time.sleep(2)
        for line in BEFORE:
            show(console, line, typed(line, environ))
            time.sleep(1.5)
        for line in LATER:
            show(console, line, typed(line, environ))
        show(console, WATCH, watch)
        stop.set()
        writer.join()
    PICTURE.write_text(console.export_svg(title="an evening with backstop"), encoding="utf-8")


if __name__ == "__main__":
    main()
