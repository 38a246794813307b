"""How calls to Google are made: within the delivery's time, and with errors of our own kinds."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from backstop.errors import CallError, QuotaError, RefusedError, TransientError
from backstop.gcp import calls
from backstop.gcp.calls import Budget, Service
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.server import SpannerEmulator

if TYPE_CHECKING:
    from collections.abc import Iterator

READ = "GetOperation", {"name": "projects/demo-project/instances/i1/backups/b1/operations/o1"}
"""A call that finds nothing, where nothing else is planned for it."""

KINDS: dict[str, type[CallError]] = {
    "CANCELLED": TransientError,
    "UNKNOWN": TransientError,
    "INVALID_ARGUMENT": RefusedError,
    "DEADLINE_EXCEEDED": TransientError,
    "NOT_FOUND": RefusedError,
    "ALREADY_EXISTS": RefusedError,
    "PERMISSION_DENIED": RefusedError,
    "RESOURCE_EXHAUSTED": QuotaError,
    "FAILED_PRECONDITION": RefusedError,
    "ABORTED": TransientError,
    "OUT_OF_RANGE": RefusedError,
    "UNIMPLEMENTED": RefusedError,
    "INTERNAL": TransientError,
    "UNAVAILABLE": TransientError,
    "DATA_LOSS": RefusedError,
    "UNAUTHENTICATED": RefusedError,
}


@pytest.fixture
def spanner() -> Iterator[SpannerEmulator]:
    """An emulated Spanner."""
    with SpannerEmulator() as emulator:
        yield emulator


@pytest.fixture
def service(spanner: SpannerEmulator, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The way to it, not used before."""
    monkeypatch.setenv("SPANNER_EMULATOR_HOST", spanner.address)
    return Service("spanner.googleapis.com", "SPANNER_EMULATOR_HOST")


@pytest.mark.parametrize(("code", "kind"), KINDS.items())
def test_each_of_google_s_codes_is_one_of_our_three_errors(
    code: str, kind: type[CallError], spanner: SpannerEmulator, service: Service
) -> None:
    """Each becomes what a handler can act on, in Google's own words."""
    spanner.faults.plan(Fault("GetOperation", Code[code], message="what Google says"))

    with pytest.raises(CallError) as caught:
        service.call(*READ, Budget(), repeat=False)

    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.message) == (code, "what Google says")


def test_every_code_but_ok_is_in_the_table() -> None:
    """No code of Google's was forgotten."""
    assert set(KINDS) == {code.name for code in Code} - {"OK"}


def test_an_error_without_words_is_told_by_its_code(spanner: SpannerEmulator, service: Service) -> None:
    """An empty text helps nobody."""
    spanner.faults.plan(Fault("GetOperation", Code.NOT_FOUND, message=""))

    with pytest.raises(RefusedError) as caught:
        service.call(*READ, Budget())

    assert caught.value.message == "NOT_FOUND"


def test_a_field_that_is_none_of_google_s_is_a_bug_and_stays_one(service: Service) -> None:
    """Only Google's errors are translated; everything else must be seen."""
    with pytest.raises(ValueError, match="no_such_field"):
        service.call("GetOperation", {"name": "x", "no_such_field": 1}, Budget())


def test_a_call_may_take_ten_seconds_and_never_more_than_the_delivery_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls of a delivery together stay within the function's own limit."""
    now_s = 1000.0
    monkeypatch.setattr(calls, "time", SimpleNamespace(monotonic=lambda: now_s))
    budget = Budget()

    assert budget.call_s() == calls.CALL_S_MAX == 10.0
    now_s += calls.DELIVERY_S_MAX - 3.0
    assert budget.call_s() == pytest.approx(3.0)
    now_s += 3.0
    with pytest.raises(TransientError, match="the delivery's 50 s are used up") as caught:
        budget.call_s()

    assert caught.value.code == "DEADLINE_EXCEEDED"


def test_a_call_that_may_be_repeated_is_repeated_while_the_service_is_unavailable(
    spanner: SpannerEmulator, service: Service
) -> None:
    """Two short outages are bridged without the handler noticing."""
    spanner.faults.plan(Fault("GetOperation", Code.UNAVAILABLE, times=2))

    with pytest.raises(RefusedError, match="NOT_FOUND"):
        service.call(*READ, Budget())

    assert spanner.faults.calls["GetOperation"] == 3


@pytest.mark.parametrize("code", [Code.INTERNAL, Code.RESOURCE_EXHAUSTED, Code.NOT_FOUND])
def test_no_other_error_is_repeated_within_a_call(code: Code, spanner: SpannerEmulator, service: Service) -> None:
    """Quota and refusals aren't helped by asking at once again."""
    spanner.faults.plan(Fault("GetOperation", code, times=2))

    with pytest.raises(CallError, match=code.name):
        service.call(*READ, Budget())

    assert spanner.faults.calls["GetOperation"] == 1


def test_a_call_that_must_not_be_repeated_is_not(spanner: SpannerEmulator, service: Service) -> None:
    """Somebody looks first at what became of it."""
    spanner.faults.plan(Fault("GetOperation", Code.UNAVAILABLE))

    with pytest.raises(TransientError, match="UNAVAILABLE"):
        service.call(*READ, Budget(), repeat=False)

    assert spanner.faults.calls["GetOperation"] == 1


def test_the_repetition_ends_with_the_call_s_time(
    spanner: SpannerEmulator, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that stays away is a transient fault, soon."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 0.5)
    spanner.faults.plan(Fault("GetOperation", Code.UNAVAILABLE, times=None))
    began_s = time.monotonic()

    with pytest.raises(TransientError, match="UNAVAILABLE"):
        service.call(*READ, Budget())

    assert time.monotonic() - began_s < 2.0
    assert spanner.faults.calls["GetOperation"] >= 2


@pytest.mark.parametrize("limit", ["ATTEMPT_S_MAX", "CALL_S_MAX"])
def test_nobody_waits_longer_than_that_for_an_answer(
    limit: str, spanner: SpannerEmulator, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that accepts a call and never answers it ends in a transient fault."""
    monkeypatch.setattr(calls, limit, 0.3)
    began_s = time.monotonic()

    with spanner.lock, pytest.raises(TransientError, match="DEADLINE_EXCEEDED"):
        service.call(*READ, Budget(), repeat=limit == "ATTEMPT_S_MAX")

    assert time.monotonic() - began_s < 3.0


def test_a_channel_is_opened_once_however_many_threads_call(
    spanner: SpannerEmulator, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one would be a second set of connections."""
    opened: list[str] = []
    open_one = calls.open_channel

    def slowly(service: Service) -> object:
        time.sleep(0.05)
        opened.append(service.host)
        return open_one(service)

    monkeypatch.setattr(calls, "open_channel", slowly)
    ready = threading.Barrier(8)
    refused: list[CallError] = []

    def ask() -> None:
        ready.wait()
        try:
            service.call(*READ, Budget())
        except RefusedError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert opened == ["spanner.googleapis.com"]
    assert len(refused) == spanner.faults.calls["GetOperation"] == 8
