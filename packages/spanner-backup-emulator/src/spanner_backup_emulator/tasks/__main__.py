"""Runs the Cloud Tasks emulator until it is told to stop (SIGINT or SIGTERM)."""

from spanner_backup_emulator.command import options_of, parser_of, serve
from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.tasks.server import TasksEmulator
from spanner_backup_emulator.tasks.state import Settings


def main() -> None:
    """Serves until a signal."""
    parser = parser_of("tasks", __doc__, 8123)
    parser.add_argument(
        "--queue", action="append", default=[], metavar="projects/P/locations/L/queues/Q", help="may be repeated"
    )
    parser.add_argument("--auto-create-queues", action="store_true", help="make any queue that a task is created in")
    options = options_of(parser, "CLOUD_TASKS_EMULATOR_OPTIONS")
    settings = Settings(auto_create_queues=options.auto_create_queues)
    try:
        emulator = TasksEmulator(options.port, options.queue, settings=settings, host=options.host)
    except ApiError as error:
        parser.error(error.message)
    serve(emulator, "Cloud Tasks emulator on {0.address}\nexport CLOUD_TASKS_EMULATOR_HOST={0.address}\n")


if __name__ == "__main__":
    main()
