"""Publishes, pushes and pulls with this Pub/Sub emulator and with Google's, in turns, and prints the rates.

    python packages/spanner-backup-emulator/official/speed.py --rounds 5

Google's must be installed (`gcloud components install pubsub-emulator`) and runs as `gcloud` starts it. Each has a
process of its own, the same client and the same receiver, and warms up first.
"""

from __future__ import annotations

import argparse
import http.server
import itertools
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
from google.pubsub_v1 import PublisherClient, SubscriberClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from collections.abc import Callable, Iterator

from google_pubsub import GooglePubSub, installed

MESSAGES = {"publish, one a request": 1000, "publish, 100 a request": 20_000, "push": 1000, "streaming pull": 5000}
"""Each takes a second or so."""

BATCH = 100
"""As many as Google's client publishes in one request, unless it is told otherwise."""

WAIT_S_MAX = 120.0
_numbers = itertools.count(1)


@contextmanager
def ours() -> Iterator[str]:
    """This emulator; its address."""
    command = [sys.executable, "-m", "spanner_backup_emulator.pubsub", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(line for line in process.stdout if line.startswith("export ")).strip().partition("=")[2]
        finally:
            process.terminate()


@contextmanager
def theirs() -> Iterator[str]:
    """Google's; its address."""
    jar = installed()
    if jar is None:
        sys.exit("Google's Pub/Sub emulator is not installed.")
    with GooglePubSub(jar, jvm=()) as emulator:
        yield emulator.address


class Client:
    """One topic with one subscription after the other, on one connection."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Takes the connection."""
        self.publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))

    def topic(self, endpoint: str = "") -> tuple[str, str]:
        """A new topic, and its subscription, which pushes if there is where to."""
        number = next(_numbers)
        topic, name = f"projects/p/topics/topic-{number}", f"projects/p/subscriptions/sub-{number}"
        self.publisher.create_topic(name=topic)
        push = types.PushConfig(push_endpoint=endpoint)
        self.subscriber.create_subscription(request=types.Subscription(name=name, topic=topic, push_config=push))
        return topic, name

    def publish(self, topic: str, count: int, batch: int = 1) -> None:
        """Publishes so many messages, one request after the other."""
        for _ in range(count // batch):
            self.publisher.publish(topic=topic, messages=[types.PubsubMessage(data=b"x" * 200)] * batch)


def publish(client: Client, count: int, batch: int = 1) -> float:
    """How long it takes to publish messages, one request after the other."""
    topic, _ = client.topic()
    begun_s = time.perf_counter()
    client.publish(topic, count, batch)
    return time.perf_counter() - begun_s


def push(client: Client, count: int) -> float:
    """How long it takes from the first publish until all have been pushed."""
    came: queue.Queue[None] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()
            came.put(None)

        def log_message(self, *_args: object) -> None:
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        topic, name = client.topic(f"http://127.0.0.1:{server.server_port}/")
        begun_s = time.perf_counter()
        client.publish(topic, count, BATCH)
        for _ in range(count):
            came.get(timeout=WAIT_S_MAX)
        took_s = time.perf_counter() - begun_s
        client.subscriber.delete_subscription(subscription=name)
        server.shutdown()
    return took_s


def streaming_pull(client: Client, count: int) -> float:
    """How long it takes to get and acknowledge, on one stream, what waits."""
    topic, name = client.topic()
    client.publish(topic, count, BATCH)
    asked: queue.Queue[types.StreamingPullRequest | None] = queue.Queue()
    asked.put(types.StreamingPullRequest(subscription=name, stream_ack_deadline_seconds=60))
    begun_s, left = time.perf_counter(), count
    for answer in client.subscriber.streaming_pull(iter(asked.get, None), timeout=WAIT_S_MAX):
        asked.put(types.StreamingPullRequest(ack_ids=[one.ack_id for one in answer.received_messages]))
        left -= len(answer.received_messages)
        if left <= 0:
            break
    took_s = time.perf_counter() - begun_s
    asked.put(None)
    return took_s


WORK: dict[str, Callable[[Client, int], float]] = {
    "publish, one a request": publish,
    "publish, 100 a request": partial(publish, batch=BATCH),
    "push": push,
    "streaming pull": streaming_pull,
}


def main() -> None:
    """Measures both in each round, and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    rates: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    with ours() as our_address, theirs() as their_address:
        for number in range(rounds + 1):
            for who, address in (("ours", our_address), ("Google's", their_address)):
                with grpc.insecure_channel(address) as channel:
                    for what, work in WORK.items():
                        rate = MESSAGES[what] / work(Client(channel), MESSAGES[what])
                        if number:  # The first round warms up.
                            rates[what, who].append(rate)
    print(
        "| messages a second, medians of", rounds, "rounds | this emulator | Google's | ratio |\n|---|---:|---:|---:|"
    )
    for what in WORK:
        mine, google = (statistics.median(rates[what, who]) for who in ("ours", "Google's"))
        print(f"| {what} | {mine:,.0f} | {google:,.0f} | {mine / google:.1f} |")


if __name__ == "__main__":
    main()
