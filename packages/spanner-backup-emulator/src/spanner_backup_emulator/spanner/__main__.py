"""The emulator as a command: `python -m spanner_backup_emulator.spanner --port 9010`."""

from datetime import timedelta

from spanner_backup_emulator.command import options_of, parser_of, serve
from spanner_backup_emulator.quota import Quota
from spanner_backup_emulator.serving import wall_clock
from spanner_backup_emulator.spanner.plans import Plan, parse_plan
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.spanner.state import State

_GREETING = """\
The Spanner backup emulator listens on {0.address}. Stop it with Ctrl-C.
export SPANNER_EMULATOR_HOST={0.address}
"""
_FOR_GCLOUD = "gcloud config set api_endpoint_overrides/spanner http://{0.rest_address}/\n"
_CANCEL_HELP = "how long a cancel takes (%(default)s: the next read shows its effect)"
_PLAN_HELP = """\
how the backups of one database go (or the copies and restores of one backup), for example
'projects/p/instances/i/databases/slow=3h,cancel=never'; settings: a duration, queue=, cancel=, removal=, optimize=,
fail=CODE, progress=linear|stuck|jumps|backwards|missing, size=BYTES; may be repeated"""
_DATABASE_HELP = "a database to list; may be given several times"
_REST_HELP = "where REST is, for gcloud; 0 for any free one"
_QUOTA_HELP = "refuse what is more than 5 calls a second of a project, over 100 seconds"


def main() -> None:
    """Serves until it is told to stop."""
    parser = parser_of("spanner", __doc__, 9010)
    add = parser.add_argument
    add("--backup-seconds", type=float, default=60, metavar="S", help="how long a backup takes (%(default)s)")
    add("--cancel-seconds", type=float, default=0, metavar="S", help=_CANCEL_HELP)
    add("--plan", action="append", default=[], metavar="NAME=SETTINGS", help=_PLAN_HELP)
    add("--database", action="append", default=[], metavar="NAME", help=_DATABASE_HELP)
    add("--behind", default="", metavar="HOST:PORT", help="Google's emulator, for all calls but those about backups")
    add("--rest-port", type=int, metavar="PORT", help=_REST_HELP)
    add("--quota", action="store_true", help=_QUOTA_HELP)
    add("--strict", action="store_true", help="refuse databases that were not named with --database")
    options = options_of(parser, "SPANNER_EMULATOR_OPTIONS")
    duration, cancel = timedelta(seconds=options.backup_seconds), timedelta(seconds=options.cancel_seconds)
    default = Plan(duration, cancel_duration=cancel)
    state = State(databases=options.database, strict=options.strict, default_plan=default)
    for text in options.plan:
        try:
            state.set_plan(*parse_plan(text, default))
        except ValueError as error:
            parser.error(f"argument --plan: {error}")
    faults = Quota(wall_clock) if options.quota else None
    emulator = SpannerEmulator(
        options.port, state=state, faults=faults, behind=options.behind, rest_port=options.rest_port, host=options.host
    )
    serve(emulator, _GREETING if options.rest_port is None else _GREETING + _FOR_GCLOUD)


if __name__ == "__main__":
    main()
