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

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.pubsub.filters import compile_filter
from spanner_backup_emulator.pubsub.model import AT_ONCE, Delivery, pb, published_at

if TYPE_CHECKING:
    from collections.abc import Iterator

PUSH_BACKOFF_MIN = timedelta(milliseconds=100)
"""The first pause (documented)."""

PUSH_BACKOFF_MAX = timedelta(seconds=60)
"""The longest pause (documented)."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Copy:
    """One copy of a message on its way to one subscription."""

    number: int
    message: pb.PubsubMessage
    due_at: datetime
    attempts: int = 0
    backoff: timedelta = AT_ONCE
    sent_at: datetime = _NEVER
    deadline: datetime | None = None
    """While it is leased: when the outcome is due."""

    @property
    def ack_id(self) -> str:
        """Names the latest attempt."""
        return f"{self.number}-{self.attempts}"


class Backlog:
    """The copies that one subscription has not delivered yet.

    Attributes:
        subscription: The settings; may be replaced at any time, but for what can't be changed, and are not changed.
        since: When the subscription was created.
        matches: Whether a message with these attributes is for this subscription.
    """

    def __init__(
        self,
        subscription: pb.Subscription,
        push_concurrency: int,
        push_backoff_max: timedelta = PUSH_BACKOFF_MAX,
        since: datetime = _NEVER,
    ) -> None:
        self.subscription = subscription
        self.since = since
        self._push_concurrency = push_concurrency
        self._push_backoff_max = push_backoff_max
        self._push_backoff = AT_ONCE
        self._paused_until = _NEVER
        self._copies: dict[int, Copy] = {}
        self._waiting: list[tuple[datetime, int]] = []
        self._ready: deque[int] = deque()
        self._leases: list[tuple[datetime, int]] = []
        self._leased: set[int] = set()
        self._lines: dict[str, deque[Copy]] = {}
        self.matches = compile_filter(subscription.filter)

    @property
    def pushes(self) -> bool:
        """Whether there is an endpoint to push to, and so nothing to be pulled."""
        return bool(self.subscription.push_config.push_endpoint)

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
        heapq.heappush(self._waiting, (copy.due_at, copy.number))

    def remove(self, copy: Copy) -> None:
        """Forgets a copy, wherever it is; the next one of its ordering key may go."""
        del self._copies[copy.number]
        self._leased.discard(copy.number)
        line = self._lines.get(copy.message.ordering_key)
        if line is None:
            return
        was_first = line[0] is copy
        line.remove(copy)
        if not line:
            del self._lines[copy.message.ordering_key]
        elif was_first:
            heapq.heappush(self._waiting, (line[0].due_at, line[0].number))

    def seek(self, moment: datetime) -> set[str]:
        """Forgets what was published before a moment; returns the ids of the messages that are left."""
        for copy in [copy for copy in self._copies.values() if published_at(copy.message) < moment]:
            self.remove(copy)
        return {copy.message.message_id for copy in self._copies.values()}

    def find(self, ack_id: str) -> Copy | None:
        """The copy whose latest attempt has this id, leased or not; None if it is gone or was sent again."""
        number, _, _ = ack_id.partition("-")
        copy = self._copies.get(int(number))
        return copy if copy is not None and copy.ack_id == ack_id else None

    def overdue(self, now: datetime) -> Iterator[Copy]:
        """The copies whose ack deadline has passed; the caller refuses each."""
        while (lease := self._next_lease()) is not None and lease[0] <= now:
            heapq.heappop(self._leases)
            yield self._copies[lease[1]]

    def push(self, now: datetime) -> list[Delivery]:
        """Leases what may be pushed now: as much as there is room for, nothing in a pause or without an endpoint."""
        self._ripen(now)
        if not self.pushes or now < self._paused_until:
            return []
        return [self.delivery(copy) for copy in self.lease(now, self._push_concurrency - len(self._leased))]

    def lease(self, now: datetime, count_max: int, ack_deadline_s: int = 0) -> list[Copy]:
        """Leases up to `count_max` of the due copies, the longest due first; drops those past the retention."""
        self._ripen(now)
        deadline = now + timedelta(seconds=ack_deadline_s or self.subscription.ack_deadline_seconds)
        kept_since = now - self.subscription.message_retention_duration.ToTimedelta()
        leased: list[Copy] = []
        while self._ready and len(leased) < count_max:
            copy = self._copies.get(self._ready.popleft())
            if copy is None:
                continue
            if published_at(copy.message) <= kept_since:
                self.remove(copy)
                continue
            copy.attempts += 1
            copy.sent_at = now
            self._leased.add(copy.number)
            self.extend(copy, deadline)
            leased.append(copy)
        return leased

    def delivery(self, copy: Copy) -> Delivery:
        """The latest attempt to push a copy."""
        return Delivery(self.subscription, copy.message, copy.attempts, copy.ack_id, copy.sent_at)

    def extend(self, copy: Copy, deadline: datetime) -> None:
        """Moves the deadline of a leased copy."""
        copy.deadline = deadline
        heapq.heappush(self._leases, (deadline, copy.number))

    def retry(self, now: datetime, copy: Copy) -> None:
        """Ends a lease without success: the copy is due again after its backoff."""
        if self.subscription.HasField("retry_policy"):
            policy = self.subscription.retry_policy
            least, most = policy.minimum_backoff.ToTimedelta(), policy.maximum_backoff.ToTimedelta()
            copy.backoff = min(max(copy.backoff * 2, least), most)
        else:
            copy.backoff = AT_ONCE
        copy.due_at = now + copy.backoff
        copy.deadline = None
        self._leased.remove(copy.number)
        heapq.heappush(self._waiting, (copy.due_at, copy.number))

    def pushed(self, now: datetime, copy: Copy, *, acknowledged: bool) -> None:
        """Adjusts the push backoff to an outcome; what was sent before a pause began can't lengthen it."""
        if acknowledged:
            self._push_backoff = AT_ONCE
        elif copy.sent_at >= self._paused_until:
            self._push_backoff = min(max(self._push_backoff * 2, PUSH_BACKOFF_MIN), self._push_backoff_max)
            self._paused_until = now + self._push_backoff

    def next_event_at(self) -> datetime | None:
        """When something is next overdue, to be pushed, or due to whoever pulls; in the past if it is so already."""
        lease = self._next_lease()
        moments = [] if lease is None else [lease[0]]
        while self._waiting and not self._is_waiting(*self._waiting[0]):
            heapq.heappop(self._waiting)
        while self._ready and self._ready[0] not in self._copies:
            self._ready.popleft()
        if not self.pushes:
            moments += [due_at for due_at, _ in self._waiting[:1]]
        elif len(self._leased) < self._push_concurrency and (self._ready or self._waiting):
            due_at = self._copies[self._ready[0]].due_at if self._ready else self._waiting[0][0]
            moments.append(max(due_at, self._paused_until))
        return min(moments, default=None)

    def _ripen(self, now: datetime) -> None:
        """Makes ready what is due."""
        while self._waiting and self._waiting[0][0] <= now:
            due_at, number = heapq.heappop(self._waiting)
            if self._is_waiting(due_at, number):
                self._ready.append(number)

    def _is_waiting(self, due_at: datetime, number: int) -> bool:
        copy = self._copies.get(number)
        return copy is not None and copy.due_at == due_at

    def _next_lease(self) -> tuple[datetime, int] | None:
        while self._leases:
            deadline, number = self._leases[0]
            copy = self._copies.get(number)
            if copy is not None and copy.deadline == deadline:
                return deadline, number
            heapq.heappop(self._leases)
        return None
