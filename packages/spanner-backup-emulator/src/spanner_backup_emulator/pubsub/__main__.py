"""The emulator as a command: `python -m spanner_backup_emulator.pubsub --help`."""

from spanner_backup_emulator.command import options_of, parser_of, serve
from spanner_backup_emulator.dispatch import is_sendable
from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.pubsub.server import PubSubEmulator

_TOPIC = "projects/P/topics/T"
_PUSH = f"projects/P/subscriptions/S={_TOPIC}=http://HOST:PORT/PATH"


def main() -> None:
    """Serves until SIGINT or SIGTERM."""
    parser = parser_of("pubsub", "An emulated Pub/Sub on loopback.", 8085)
    parser.add_argument("--topic", action="append", default=[], metavar=_TOPIC, help="create a topic; repeatable")
    parser.add_argument(
        "--push", action="append", default=[], metavar=_PUSH, help="create a push subscription; repeatable"
    )
    options = options_of(parser, "PUBSUB_EMULATOR_OPTIONS")
    emulator = PubSubEmulator(options.port, host=options.host)
    try:
        for topic in options.topic:
            emulator.create_topic(topic)
        for push in options.push:
            subscription, _, rest = push.partition("=")
            topic, _, endpoint = rest.partition("=")
            if not is_sendable(endpoint):
                parser.error(f"--push {push}: {endpoint!r} is not an http URL")
            emulator.create_push_subscription(subscription, topic, endpoint)
    except ApiError as error:
        parser.error(error.message)
    serve(emulator, "export PUBSUB_EMULATOR_HOST={0.address}\n")


if __name__ == "__main__":
    main()
