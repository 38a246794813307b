"""The emulator as a command: `python -m spanner_backup_emulator.pubsub --help`."""

from __future__ import annotations

import argparse

from spanner_backup_emulator.dispatch import is_sendable
from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.serving import hold_stop_signals, options_of, wait_for_stop_signal

_TOPIC = "projects/P/topics/T"
_SUBSCRIPTION = "projects/P/subscriptions/S"


def main() -> None:
    """Serves until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m spanner_backup_emulator.pubsub", description="An emulated Pub/Sub on loopback."
    )
    parser.add_argument("--port", type=int, default=8085, help="the TCP port, 0 for any free one (default: 8085)")
    parser.add_argument("--topic", action="append", default=[], metavar=_TOPIC, help="create a topic; repeatable")
    parser.add_argument(
        "--push",
        action="append",
        default=[],
        metavar=f"{_SUBSCRIPTION}={_TOPIC}=http://HOST:PORT/PATH",
        help="create a push subscription; repeatable",
    )
    options = options_of(parser, "PUBSUB_EMULATOR_OPTIONS")
    hold_stop_signals()
    with PubSubEmulator(options.port, host=options.host) as emulator:
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
        print(f"export PUBSUB_EMULATOR_HOST={emulator.address}", flush=True)  # noqa: T201  # a command's output
        wait_for_stop_signal()


if __name__ == "__main__":
    main()
