"""Runs the Cloud Tasks emulator until it is told to stop (SIGINT or SIGTERM)."""

from __future__ import annotations

import argparse
import sys

from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.serving import hold_stop_signals, options_of, wait_for_stop_signal
from spanner_backup_emulator.tasks.model import Settings
from spanner_backup_emulator.tasks.server import TasksEmulator

PORT_DEFAULT = 8123


def main() -> int:
    """Serves until a signal; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m spanner_backup_emulator.tasks", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT_DEFAULT, help="default: %(default)s; 0 for any free port")
    parser.add_argument(
        "--queue", action="append", default=[], metavar="projects/P/locations/L/queues/Q", help="may be repeated"
    )
    parser.add_argument("--auto-create-queues", action="store_true", help="make any queue that a task is created in")
    arguments = options_of(parser, "CLOUD_TASKS_EMULATOR_OPTIONS")
    hold_stop_signals()
    settings = Settings(auto_create_queues=arguments.auto_create_queues)
    try:
        emulator = TasksEmulator(arguments.port, arguments.queue, settings=settings, host=arguments.host)
    except ApiError as error:
        parser.error(error.message)
    with emulator:
        sys.stdout.write(
            f"Cloud Tasks emulator on {emulator.address}\nexport CLOUD_TASKS_EMULATOR_HOST={emulator.address}\n"
        )
        sys.stdout.flush()
        wait_for_stop_signal()
    return 0


if __name__ == "__main__":
    sys.exit(main())
