"""A `start` of very many databases: what its chain carries is bounded, and its summary accounts for each."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from backstop import start
from backstop.commands import Start
from backstop.dispatch import deliver
from backstop.errors import CallError, QuotaError, RefusedError
from backstop.events import Databases, Event, Trigger
from backstop.followups import FanOut
from backstop.names import BackupName, DatabaseName, OperationName
from backstop.operations import Listing, Operation
from backstop.ports import Ports, Settings
from backstop.wire import (
    COMMAND_BYTES_MAX,
    FOLLOW_UP_BYTES_MAX,
    KIND_ATTRIBUTE,
    KIND_FOLLOW_UP,
    Delivery,
    encode_follow_up,
)
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import COMMANDS, FOLLOW_UPS, INSTANCE, World
from tests.unit.times import DAY, START

ODD = "Zu viele Sicherungen \N{RIGHTWARDS ARROW} \N{DROMEDARY CAMEL} \x01 " * 200


class Instance(SpannerPort):
    """An instance of very many databases, of whose backups nobody keeps a list."""

    def __init__(self, ids: list[str], error: CallError | None) -> None:
        """Takes the databases' ids, and with what error a backup is refused of every database but the first."""
        super().__init__(World().spanner, lambda: START)
        self.names = [DatabaseName(f"{INSTANCE}/databases/{database_id}") for database_id in ids]
        self.error = error

    def list_databases(self, *_: object) -> list[DatabaseName]:
        """Reads the names."""
        return self.names

    def list_operations(self, *_: object, **__: object) -> Listing:
        """Reads no operations."""
        return Listing()

    def create_backup(self, database: DatabaseName, backup: BackupName, *_: object) -> Operation:
        """Starts a backup or refuses to."""
        if self.error is not None and database != self.names[0]:
            raise self.error
        return Operation(OperationName(f"{backup}/operations/a"), backup, database, START)


@dataclass
class Chain:
    """A chain of starts as it goes: the step that comes next, how large each was, and what was told at the end."""

    next_step: bytes = b""
    sizes: list[int] = field(default_factory=list)
    last: Event | None = None

    def schedule(self, _identity: str, data: bytes, _due: datetime) -> None:
        """Keeps the chain's own next step."""
        if b'"kind":"fan-out"' in data:
            self.next_step = data
            self.sizes.append(len(data))

    def publish(self, event: Event) -> None:
        """Keeps the last outcome."""
        self.last = event

    def announce_deletion(self, event: Event) -> None:
        """Never comes."""
        raise AssertionError(event)


def run(ids: list[str], error: CallError | None = None, now: datetime = START) -> tuple[Chain, Databases]:
    """Delivers a start of all databases and every step of its chain; returns the chain, and the last account."""
    chain = Chain()
    ports = Ports(Instance(ids, error), chain, chain)
    data = json.dumps({"action": "start", "instance": INSTANCE}).encode()
    deliver(Delivery(data, {}, "17", START, COMMANDS, 1), START, ports, Settings(FOLLOW_UPS))
    while chain.next_step:
        step, chain.next_step = chain.next_step, b""
        delivery = Delivery(step, {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, "18", START, FOLLOW_UPS, 1)
        deliver(delivery, now if b'"left":' in step else START, ports, Settings(FOLLOW_UPS))
    assert chain.last is not None
    assert chain.last.databases is not None
    return chain, chain.last.databases


def names(count: int) -> list[str]:
    """So many ids, as long as Spanner lets them be."""
    return [f"database-{number:021d}" for number in range(count)]


@pytest.mark.parametrize(
    ("count", "error"),
    [(200, None), (100, ODD), (500, ODD)],
    ids=["200 databases", "100 of which all but one are refused at length", "500 likewise"],
)
def test_a_start_of_many_cut_its_own_chain_and_never_summed_up(count: int, error: str | None) -> None:
    """No step is longer than its own reader takes, and the summary accounts for every database."""
    ids = names(count)

    chain, account = run(ids, RefusedError("PERMISSION_DENIED", error) if error else None)

    assert max(chain.sizes) <= FOLLOW_UP_BYTES_MAX
    assert account.started == tuple(ids[:1] if error else ids)
    assert list(account.not_started) == ids[len(account.started) :]
    assert all(reason.startswith("PERMISSION_DENIED: Zu") for reason in account.not_started.values())


def test_a_start_of_more_databases_than_it_can_account_for_starts_none() -> None:
    """It is told how many there are, before anything is begun."""
    chain, account = run(names(4000))

    assert chain.last is not None
    assert (chain.last.outcome, account.started) == ("REJECTED", ())
    assert "4000 databases are more than one start can keep account of" in chain.last.detail
    assert len(chain.sizes) == 1


def test_a_start_of_many_that_gave_up_told_each_database_google_s_whole_words() -> None:
    """Its outcome would be longer than Pub/Sub takes, and never be told."""
    ids = names(1500)

    chain, account = run(ids, QuotaError("RESOURCE_EXHAUSTED", ODD), now=START + 3 * DAY)

    assert chain.last is not None
    assert (chain.last.outcome, account.started) == ("GAVE_UP", ("database-000000000000000000000",))
    assert list(account.not_started) == ids[1:]
    assert sum(map(len, account.not_started.values())) <= FOLLOW_UP_BYTES_MAX


@given(
    count=st.integers(1, 1500) | st.just(1500),
    parts=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    why=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).map(lambda text: text * 100),
    patterns=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60), max_size=100),
)
def test_a_step_stays_within_its_bound_whatever_the_databases_and_the_reasons(
    count: int, parts: tuple[float, float], why: str, patterns: list[str]
) -> None:
    """However many of them are left, started and refused, and however many patterns match nothing."""
    assume(len(json.dumps(patterns, ensure_ascii=False).encode()) <= COMMAND_BYTES_MAX)
    ids = names(count)
    low, high = sorted(int(count * part) for part in parts)
    step = FanOut(
        trigger=Trigger("1" * 20, START, f"projects/{'p' * 30}/topics/{'t' * 255}"),
        step=count,
        command=Start(instance=INSTANCE, databases=tuple(patterns)),
        left=tuple(ids[:low]),
        started=tuple(ids[low:high]),
        refused=dict.fromkeys([*patterns, *ids[high:]], ""),
    )
    reason = start.reason(step, why)

    longest = replace(step, refused=dict.fromkeys(step.refused, reason))

    assert len(encode_follow_up(longest)) <= FOLLOW_UP_BYTES_MAX
    assert why.startswith(reason)
