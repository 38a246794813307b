"""How calls to Google are made: within the delivery's time, and with errors of our own kinds."""

from __future__ import annotations

import gc
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest
from google.rpc import error_details_pb2, status_pb2

from backstop.errors import CallError, QuotaError, RefusedError, TransientError
from backstop.gcp import calls
from backstop.gcp.calls import SHARED, Budget, Service
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.server import SpannerEmulator
from tests.unit.google_services import Services

RPC = "GetOperation"
REQUEST: dict[str, object] = {"name": "projects/demo-project/instances/i1/backups/b1/operations/o1"}
"""A call that finds nothing, where nothing else is planned for it."""

TRANSIENT = {"CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "ABORTED", "INTERNAL", "UNAVAILABLE"}


@pytest.fixture
def spanner(spanner_emulator: SpannerEmulator) -> SpannerEmulator:
    """An emulated Spanner, and no client of it yet."""
    SHARED.begin()
    return spanner_emulator


def call(*, once: bool = False, **request: object) -> CallError:
    """Makes a call that fails."""
    service = Service("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER")
    with pytest.raises(CallError) as caught:
        service.call("get_operation", REQUEST | request, Budget(), once=once)
    return caught.value


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_each_of_google_s_codes_is_one_of_our_three_errors(code: Code, spanner: SpannerEmulator) -> None:
    """Each becomes what a handler can act on, in Google's own words."""
    spanner.faults.plan(Fault(RPC, code, message="what Google says"))
    quota_or_refused = QuotaError if code is Code.RESOURCE_EXHAUSTED else RefusedError

    error = call(once=True)

    assert type(error) is (TransientError if code.name in TRANSIENT else quota_or_refused)
    assert (error.code, error.failure.message) == (code.name, "what Google says")


def test_an_error_without_words_is_told_by_its_code(spanner: SpannerEmulator) -> None:
    """An empty text helps nobody."""
    spanner.faults.plan(Fault(RPC, Code.NOT_FOUND, message=""))

    assert call().explained == "NOT_FOUND"


@pytest.mark.usefixtures("spanner")
def test_a_field_that_is_none_of_google_s_is_a_bug_and_stays_one() -> None:
    """Only Google's errors are translated; everything else must be seen."""
    with pytest.raises(ValueError, match="no_such_field"):
        call(no_such_field=1)


def test_a_call_may_take_ten_seconds_and_never_more_than_the_delivery_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls of a delivery together stay within the function's own limit."""
    now_s = 1000.0
    monkeypatch.setattr(calls, "time", SimpleNamespace(monotonic=lambda: now_s))
    budget = Budget()

    assert budget.call_s() == 10.0
    now_s += 47.0
    assert budget.call_s() == pytest.approx(3.0)
    now_s += 3.0
    with pytest.raises(TransientError, match="DEADLINE_EXCEEDED: the delivery's 50 s are used up"):
        budget.call_s()


@pytest.mark.parametrize(
    ("code", "once", "end", "count"),
    [
        (Code.UNAVAILABLE, False, "NOT_FOUND", 3),
        (Code.UNAVAILABLE, True, "UNAVAILABLE", 1),
        (Code.INTERNAL, False, "INTERNAL", 1),
        (Code.RESOURCE_EXHAUSTED, False, "RESOURCE_EXHAUSTED", 1),
    ],
)
def test_a_call_is_repeated_while_the_service_is_unavailable_unless_it_must_not_be(
    code: Code, *, once: bool, end: str, count: int, spanner: SpannerEmulator
) -> None:
    """Two short outages are bridged; quota and refusals aren't helped by asking again at once."""
    spanner.faults.plan(Fault(RPC, code, times=2))

    assert call(once=once).code == end

    assert spanner.faults.calls[RPC] == count


@pytest.mark.parametrize(("once", "least_s"), [(True, 1.0), (False, 0.5)])
def test_nobody_waits_longer_than_that_for_an_answer(
    *, once: bool, least_s: float, spanner: SpannerEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that accepts a call and never answers it ends in a transient fault."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 1.2)
    began_s = time.monotonic()

    with spanner.lock:
        assert call(once=once).code == "DEADLINE_EXCEEDED"

    assert least_s < time.monotonic() - began_s < 10.0  # The delivery's time would be 50 s.


@pytest.mark.parametrize("hangs_after_s", [None, 1.6])
def test_no_attempt_begins_in_the_second_half_of_a_call(
    hangs_after_s: float | None, spanner: SpannerEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google's client would give it the whole time anew, and the call would take twice as long as it may."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 4.0)
    monkeypatch.setattr(calls, "PAUSE_S_FIRST", 0.02)
    monkeypatch.setattr(calls, "PAUSE_S_MAX", 0.02)
    spanner.faults.plan(Fault(RPC, Code.UNAVAILABLE, times=None))
    ended = threading.Event()

    def hang() -> None:
        with spanner.lock:
            ended.wait(10.0)

    if hangs_after_s is not None:
        threading.Timer(hangs_after_s, hang).start()
    began_s = time.monotonic()

    assert isinstance(call(), TransientError)

    ended.set()
    # An attempt that began just before the hang ends after half of the call's time, and not after the whole of it.
    assert (hangs_after_s or 0.0) < time.monotonic() - began_s < 5.2
    assert spanner.faults.calls[RPC] >= 2


def test_a_client_is_made_once_however_many_threads_call(
    spanner: SpannerEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one would be a second set of connections."""
    made: list[str] = []
    make = Service._make

    def slowly(service: Service) -> object:
        time.sleep(0.05)
        made.append("client")
        return make(service)

    monkeypatch.setattr(Service, "_make", slowly)

    with ThreadPoolExecutor(8) as threads:
        ends = [one.result().code for one in [threads.submit(call) for _ in range(8)]]

    assert (made, ends) == (["client"], 8 * ["NOT_FOUND"])
    assert spanner.faults.calls[RPC] == 8
    assert gc.get_threshold()[0] < calls.IMPORTING_GC


@pytest.mark.usefixtures("spanner")
def test_nobody_waits_for_a_client_longer_than_a_call_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that makes it may wait for a server that gives out tokens."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 0.1)

    with SHARED.lock:
        assert call().explained == "another thread still waits to sign in"


@pytest.mark.usefixtures("spanner")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_process_that_is_forked_off_begins_without_clients() -> None:
    """A channel that its parent used may hang in it, and so may a lock that a thread of its parent held."""
    call()
    with SHARED.lock:
        child = os.fork()
        if not child:
            os._exit(len(SHARED.clients) + SHARED.lock.locked())

    assert SHARED.clients
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.INVALID_ARGUMENT, Code.UNAVAILABLE])
def test_what_google_says_beside_its_text_is_kept(
    code: Code, google: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When to ask again, and which field is wrong."""
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.seconds = 10**11 if code is Code.UNAVAILABLE else 7
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="backup.expire_time", description="is in the past")
    about = error_details_pb2.ResourceInfo(resource_name="projects/p/instances/i")
    google.answers[RPC] = status = status_pb2.Status(code=code, message="no")
    for detail in (retry, bad, about):
        status.details.add().Pack(detail)
    monkeypatch.setattr(calls, "CALL_S_MAX", 0.5)

    error = call()

    assert (error.code, error.explained) == (code.name, "no; backup.expire_time: is in the past")
    assert error.field == "backup.expire_time"
    assert error.retry_after == (timedelta(days=1) if code is Code.UNAVAILABLE else timedelta(seconds=7))
