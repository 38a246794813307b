"""Counts what messages went through on their way."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.pubsub.model import published_at
from tests.simulation.history import BEGIN
from tests.simulation.record import command_key

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.pubsub.model import Delivery as Push
    from tests.simulation.record import Delivery
    from tests.simulation.world import World

LATE_MIN = timedelta(seconds=1)
"""What comes later than this was delayed."""


class Arrivals:
    """What has arrived so far."""

    def __init__(self) -> None:
        self._copies: dict[str, dict[str, datetime]] = {}
        self._latest = BEGIN

    def count(self, world: World, pushed: Push, delivery: Delivery) -> None:
        """Counts what a message went through on its way, now that it has arrived."""
        counts, message = world.record.counts, pushed.message
        if world.history.faults.function_skew_s:
            counts["function's clock is off"] += 1
        if world.history.faults.pubsub_skew_s:
            counts["Pub/Sub's clock is off"] += 1
        if pushed.attempt > 1:
            counts["redelivery"] += 1
            return
        copies = self._copies.setdefault(command_key(delivery.topic, message.message_id), {})
        copies[pushed.ack_id.partition("-")[0]] = published = published_at(message)
        late = delivery.begin + (world.pubsub_now - world.now) - published
        if len(set(copies.values())) > 1:
            counts["restamp"] += 1
        elif len(copies) > 1:
            counts["duplicate"] += 1
            counts["duplicate, hours late"] += late > timedelta(hours=1)
        elif late > LATE_MIN:
            counts["delay"] += 1
        if published < self._latest:
            counts["reordering"] += 1
        self._latest = max(self._latest, published)
