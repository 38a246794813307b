"""What one subscription still has to deliver, and when.

A message's copy is in exactly one of three places: *waiting* for its time, *ready* to be handed over, or *leased*:
handed over, with an outcome due before the ack deadline. A refusal or a missed deadline puts it back to waiting. Two
delays then apply and the longer one wins (documented, https://cloud.google.com/pubsub/docs/push#push_backoff):

- the retry policy's, of that message alone, doubling from its minimum to its maximum;
- the push backoff, of the whole subscription, which no setting turns off.

The service says of the push backoff only that it is exponential, 100 ms to 60 s, and set off by refusals. Here it
doubles once for each pause that was followed by another refusal, and starts again after a success (inferred).
The slow start of push concurrency is not modelled: `push_concurrency` deliveries are in flight from the start.

Where the subscription orders, the copies of one ordering key stand in a line, and only its first is in one of the
three places: the next comes once it is acknowledged. For push that is documented
(https://cloud.google.com/pubsub/docs/ordering); for pull the service may hand several over at once, still in order.

The heaps keep entries that are no longer true; they are dropped when they come to the top.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from spanner_backup_emulator.pubsub.filters import compile_filter
from spanner_backup_emulator.pubsub.model import AT_ONCE, Delivery, milliseconds, pb, published_at

# The first pause, and the longest (documented).
PUSH_BACKOFF_MIN, PUSH_BACKOFF_MAX = timedelta(milliseconds=100), timedelta(seconds=60)

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Copy:
    """One copy of a message on its way to one subscription."""

    number: int
    message: pb.PubsubMessage
    at: datetime  # When it is due, or, while it is leased, when the outcome is.
    attempts: int = 0  # How often it was handed over.
    backoff: timedelta = AT_ONCE  # How long it waited the last time.
    sent_at: datetime = _NEVER  # When it was handed over the last time.
    leased: bool = False  # Whether an outcome is awaited.

    @property
    def ack_id(self) -> str:
        """Names the latest attempt."""
        return f"{self.number}-{self.attempts}"


class Backlog:
    """The copies that one subscription has not delivered yet."""

    def __init__(self, subscription: pb.Subscription, now: datetime, concurrency: int, backoff_max: timedelta) -> None:
        self.settle(subscription)
        self.since = milliseconds(now)  # When the subscription was created, as publish times are kept.
        self.matches = compile_filter(subscription.filter)  # Whether a message with these attributes is for it.
        self._push_concurrency = concurrency
        self._push_backoff_max = backoff_max
        self._push_backoff = AT_ONCE
        self._paused_until = _NEVER
        self._copies: dict[int, Copy] = {}
        self._waiting: list[tuple[datetime, int]] = []
        self._ready: OrderedDict[int, Copy] = OrderedDict()
        self._leases: list[tuple[datetime, int]] = []
        self._leased_count = 0
        self._lines: dict[str, deque[Copy]] = {}

    def settle(self, subscription: pb.Subscription) -> None:
        """Takes on other settings, which nobody changes from then on."""
        self.subscription = subscription
        self.pushes = bool(subscription.push_config.push_endpoint)  # If so, there is nothing to be pulled.
        self.retention = subscription.message_retention_duration.ToTimedelta()  # How long a message is kept.

    def __len__(self) -> int:
        """How many copies have not been acknowledged."""
        return len(self._copies)

    def add(self, copy: Copy) -> None:
        """Takes a copy in; it is delivered when it is due."""
        self._copies[copy.number] = copy
        key = copy.message.ordering_key
        if key and self.subscription.enable_message_ordering:
            line = self._lines.setdefault(key, deque())
            line.append(copy)
            if line[0] is not copy:
                return
        heapq.heappush(self._waiting, (copy.at, copy.number))

    def remove(self, copy: Copy) -> None:
        """Forgets a copy, wherever it is; the next one of its ordering key may go."""
        del self._copies[copy.number]
        self._ready.pop(copy.number, None)
        self._leased_count -= copy.leased
        line = self._lines.get(copy.message.ordering_key)
        if line is None:
            return
        was_first = line[0] is copy
        line.remove(copy)
        if not line:
            del self._lines[copy.message.ordering_key]
        elif was_first:
            heapq.heappush(self._waiting, (line[0].at, line[0].number))

    def seek(self, moment: datetime) -> set[str]:
        """Forgets what was published before a moment; returns the ids of the messages that are left."""
        for copy in [copy for copy in self._copies.values() if published_at(copy.message) < moment]:
            self.remove(copy)
        return {copy.message.message_id for copy in self._copies.values()}

    def find(self, ack_id: str) -> Copy | None:
        """The copy whose latest attempt has this id, leased or not; None if it is gone or was sent again."""
        copy = self._copies.get(int(ack_id.partition("-")[0]))
        return copy if copy is not None and copy.ack_id == ack_id else None

    def overdue(self, now: datetime) -> Iterator[Copy]:
        """The copies whose ack deadline has passed; the caller refuses each."""
        while (deadline := self._first(self._leases, leased=True)) is not None and deadline <= now:
            yield self._copies[heapq.heappop(self._leases)[1]]

    def push(self, now: datetime) -> list[Delivery]:
        """Leases what may be pushed now: as much as there is room for, nothing in a pause or without an endpoint."""
        self._ripen(now)
        if not self.pushes or now < self._paused_until:
            return []
        return [self.delivery(copy) for copy in self.lease(now, self._push_concurrency - self._leased_count)]

    def lease(self, now: datetime, count_max: int, ack_deadline_s: int = 0) -> list[Copy]:
        """Leases up to `count_max` of the due copies, the longest due first; drops those past the retention."""
        self._ripen(now)
        deadline = now + timedelta(seconds=ack_deadline_s or self.subscription.ack_deadline_seconds)
        kept_since = now - self.retention
        leased: list[Copy] = []
        while self._ready and len(leased) < count_max:
            _, copy = self._ready.popitem(last=False)
            if published_at(copy.message) <= kept_since:
                self.remove(copy)
                continue
            copy.attempts += 1
            copy.sent_at, copy.leased = now, True
            self._leased_count += 1
            self.extend(copy, deadline)
            leased.append(copy)
        return leased

    def delivery(self, copy: Copy) -> Delivery:
        """The latest attempt to push a copy."""
        return Delivery(self.subscription, copy.message, copy.attempts, copy.ack_id, copy.sent_at)

    def extend(self, copy: Copy, deadline: datetime) -> None:
        """Moves the deadline of a leased copy."""
        copy.at = deadline
        heapq.heappush(self._leases, (deadline, copy.number))

    def retry(self, now: datetime, copy: Copy) -> None:
        """Ends a lease without success: the copy is due again after its backoff, at once without a retry policy."""
        policy = self.subscription.retry_policy
        least, most = policy.minimum_backoff.ToTimedelta(), policy.maximum_backoff.ToTimedelta()
        copy.backoff = min(max(copy.backoff * 2, least), most)
        copy.at, copy.leased = now + copy.backoff, False
        self._leased_count -= 1
        heapq.heappush(self._waiting, (copy.at, copy.number))

    def pushed(self, now: datetime, copy: Copy, *, acknowledged: bool) -> None:
        """Adjusts the push backoff to an outcome; what was sent before a pause began can't lengthen it."""
        if acknowledged:
            self._push_backoff = AT_ONCE
        elif copy.sent_at >= self._paused_until:
            self._push_backoff = min(max(self._push_backoff * 2, PUSH_BACKOFF_MIN), self._push_backoff_max)
            self._paused_until = now + self._push_backoff

    def next_event_at(self) -> datetime | None:
        """When something is next overdue, to be pushed, or due to whoever pulls; in the past if it is so already."""
        deadline, due_at = self._first(self._leases, leased=True), self._first(self._waiting, leased=False)
        if self.pushes:
            due_at = next(iter(self._ready.values())).at if self._ready else due_at
            has_room = self._leased_count < self._push_concurrency
            due_at = max(due_at, self._paused_until) if due_at is not None and has_room else None
        return min(filter(None, (deadline, due_at)), default=None)

    def _ripen(self, now: datetime) -> None:
        """Makes ready what is due."""
        while (due_at := self._first(self._waiting, leased=False)) is not None and due_at <= now:
            _, number = heapq.heappop(self._waiting)
            self._ready[number] = self._copies[number]

    def _first(self, heap: list[tuple[datetime, int]], *, leased: bool) -> datetime | None:
        """When the first entry of a heap is for that is still true; those before it are dropped."""
        while heap:
            at, number = heap[0]
            copy = self._copies.get(number)
            if copy is not None and copy.at == at and copy.leased is leased:
                return at
            heapq.heappop(heap)
        return None
