"""What the emulators have in common as commands."""

import argparse
import os
import shlex
import signal
import sys

from spanner_backup_emulator.emulator import Emulator
from spanner_backup_emulator.serving import HOST

STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
"""What ends a command."""


def parser_of(name: str, description: str | None, port: int) -> argparse.ArgumentParser:
    """A parser with the options that every emulator has; `port` is the default of its own."""
    parser = argparse.ArgumentParser(prog=f"python -m spanner_backup_emulator.{name}", description=description)
    parser.add_argument("--port", type=int, default=port, help="default: %(default)s; 0 for any free one")
    host = os.environ.get("SPANNER_BACKUP_EMULATOR_HOST", HOST)
    parser.add_argument("--host", default=host, help="the address to listen on, %(default)s if none is given")
    return parser


def options_of(parser: argparse.ArgumentParser, variable: str) -> argparse.Namespace:
    """A command's options: those in a variable of the environment, and then those on its line."""
    parser.epilog = f"{variable} may hold options too; those on the command line win."
    return parser.parse_args(shlex.split(os.environ.get(variable, "")) + sys.argv[1:])


def serve(emulator: Emulator, greeting: str) -> None:
    """Serves until SIGINT or SIGTERM; no thread may run yet.

    The signals are blocked, and so in all threads. A handler would run only once the main thread wakes up, and a signal
    that one of gRPC's threads happens to receive doesn't wake it.

    Args:
        emulator: Whoever serves.
        greeting: What is printed, to be formatted with it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    with emulator:
        sys.stdout.write(greeting.format(emulator))
        sys.stdout.flush()
        signal.sigwait(STOP_SIGNALS)
