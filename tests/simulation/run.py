"""One history, from what was written down to what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.simulation.chance import Site
from tests.simulation.checker import Finding, findings
from tests.simulation.history import History
from tests.simulation.record import Record
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a history.

    Attributes:
        history: The history.
        record: What happened.
        findings: What must not have happened.
        taken: Which faults happened where.
        asked: Where a fault could have happened, in order.
    """

    history: History
    record: Record
    findings: Sequence[Finding]
    taken: Mapping[Site, str]
    asked: Sequence[Site]


def run(history: History) -> Verdict:
    """Lets a history happen and judges it."""
    world = World(history)
    record = world.run()
    return Verdict(history, record, findings(record), world.chance.taken, world.chance.asked)


def trace(record: Record) -> str:
    """Everything that happened, a line for each thing, in the order of time; the same for the same history."""
    return "\n".join(text for _, _, text in sorted(_lines(record), key=lambda line: line[:2]))


def _lines(record: Record) -> Iterator[tuple[str, int, str]]:
    number = 0
    for published in record.published:
        at = published.at.isoformat()
        odd = f" ({published.odd})" if published.odd else ""
        yield at, number, f"{at} published {published.key} {published.message.data!r}{odd}"
    for delivery in record.deliveries:
        at = delivery.begin.isoformat()
        number = delivery.number * 1000 + 1
        what = f"{delivery.message.message_id}, attempt {delivery.attempt}, {delivery.message.data!r}"
        yield at, number, f"{at} delivery {delivery.number}: {what}; answered {delivery.status or 'nothing'}"
    for call in record.calls:
        at = call.at.isoformat()
        number = call.delivery * 1000 + 2
        effect = "" if call.until > call.since else " (no effect)"
        yield at, number, f"{at}   in {call.delivery}: {call.method} {call.resource}{effect}"
    for told in record.told:
        at, data = told.at.isoformat(), json.loads(told.message.data)
        yield at, told.delivery * 1000 + 3, f"{at}   in {told.delivery}: told {data['outcome']}: {data['detail']}"
    for event in record.events:
        if event.what.name != "CALLED":
            at = event.at.isoformat()
            yield at, 10**9, f"{at} Spanner: {event.what.value} {event.resource} ({event.cause}, {event.code.name})"
    if record.healed_at is not None:
        yield record.healed_at.isoformat(), 0, f"{record.healed_at.isoformat()} the faults stop"
