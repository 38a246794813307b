"""How calls to Google are made: within the delivery's time, and with errors of our own kinds."""

from __future__ import annotations

import gc
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from backstop.errors import CallError, QuotaError, RefusedError, TransientError
from backstop.gcp import calls
from backstop.gcp.calls import SHARED, Budget, Service
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.server import SpannerEmulator

if TYPE_CHECKING:
    from collections.abc import Iterator

METHOD, RPC = "get_operation", "GetOperation"
REQUEST: dict[str, object] = {"name": "projects/demo-project/instances/i1/backups/b1/operations/o1"}
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
    SHARED.begin()
    return Service("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER")


@pytest.mark.parametrize(("code", "kind"), KINDS.items())
def test_each_of_google_s_codes_is_one_of_our_three_errors(
    code: str, kind: type[CallError], spanner: SpannerEmulator, service: Service
) -> None:
    """Each becomes what a handler can act on, in Google's own words."""
    spanner.faults.plan(Fault("GetOperation", Code[code], message="what Google says"))

    with pytest.raises(CallError) as caught:
        service.call(METHOD, REQUEST, Budget(), once=True)

    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.message) == (code, "what Google says")


def test_every_code_but_ok_is_in_the_table() -> None:
    """No code of Google's was forgotten."""
    assert set(KINDS) == {code.name for code in Code} - {"OK"}


def test_an_error_without_words_is_told_by_its_code(spanner: SpannerEmulator, service: Service) -> None:
    """An empty text helps nobody."""
    spanner.faults.plan(Fault("GetOperation", Code.NOT_FOUND, message=""))

    with pytest.raises(RefusedError) as caught:
        service.call(METHOD, REQUEST, Budget())

    assert caught.value.message == "NOT_FOUND"


def test_a_field_that_is_none_of_google_s_is_a_bug_and_stays_one(service: Service) -> None:
    """Only Google's errors are translated; everything else must be seen."""
    with pytest.raises(ValueError, match="no_such_field"):
        service.call("get_operation", {"name": "x", "no_such_field": 1}, Budget())


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
        service.call(METHOD, REQUEST, Budget())

    assert spanner.faults.calls["GetOperation"] == 3


@pytest.mark.parametrize("code", [Code.INTERNAL, Code.RESOURCE_EXHAUSTED, Code.NOT_FOUND])
def test_no_other_error_is_repeated_within_a_call(code: Code, spanner: SpannerEmulator, service: Service) -> None:
    """Quota and refusals aren't helped by asking at once again."""
    spanner.faults.plan(Fault("GetOperation", code, times=2))

    with pytest.raises(CallError, match=code.name):
        service.call(METHOD, REQUEST, Budget())

    assert spanner.faults.calls["GetOperation"] == 1


def test_a_call_that_must_not_be_repeated_is_not(spanner: SpannerEmulator, service: Service) -> None:
    """Somebody looks first at what became of it."""
    spanner.faults.plan(Fault("GetOperation", Code.UNAVAILABLE))

    with pytest.raises(TransientError, match="UNAVAILABLE"):
        service.call(METHOD, REQUEST, Budget(), once=True)

    assert spanner.faults.calls["GetOperation"] == 1


def test_the_repetition_ends_with_the_call_s_time(
    spanner: SpannerEmulator, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that stays away is a transient fault, soon."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 0.5)
    spanner.faults.plan(Fault("GetOperation", Code.UNAVAILABLE, times=None))
    began_s = time.monotonic()

    with pytest.raises(TransientError, match="UNAVAILABLE"):
        service.call(METHOD, REQUEST, Budget())

    assert time.monotonic() - began_s < 2.0
    assert spanner.faults.calls["GetOperation"] >= 2


@pytest.mark.parametrize("once", [True, False])
def test_nobody_waits_longer_than_that_for_an_answer(
    *, once: bool, spanner: SpannerEmulator, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that accepts a call and never answers it ends in a transient fault."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 1.2)
    began_s = time.monotonic()

    with spanner.lock, pytest.raises(TransientError, match="DEADLINE_EXCEEDED"):
        service.call(METHOD, REQUEST, Budget(), once=once)

    assert (1.0 if once else 0.5) < time.monotonic() - began_s < 3.0


def test_no_attempt_begins_in_the_second_half_of_a_call(
    spanner: SpannerEmulator, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google's client would give it the whole time anew, and the call would take twice as long as it may."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 2.0)
    monkeypatch.setattr(calls, "PAUSE_S_FIRST", 0.02)
    monkeypatch.setattr(calls, "PAUSE_S_MAX", 0.02)
    spanner.faults.plan(Fault(RPC, Code.UNAVAILABLE, times=None))
    threading.Timer(0.8, lambda: spanner.lock.acquire(timeout=5.0)).start()
    began_s = time.monotonic()

    with pytest.raises(TransientError):
        service.call(METHOD, REQUEST, Budget())

    assert 0.8 < time.monotonic() - began_s < 2.5


def test_a_client_is_made_once_however_many_threads_call(
    spanner: SpannerEmulator, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one would be a second set of connections."""
    made: list[str] = []
    make = Service._make

    def slowly(service: Service) -> object:
        time.sleep(0.05)
        made.append("client")
        return make(service)

    monkeypatch.setattr(Service, "_make", slowly)

    def ask(_: int) -> None:
        with pytest.raises(RefusedError):
            service.call(METHOD, REQUEST, Budget())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))

    assert made == ["client"]
    assert spanner.faults.calls[RPC] == 8
    assert gc.get_threshold()[0] < calls.IMPORTING_GC


def test_nobody_waits_for_a_client_longer_than_a_call_may_take(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that makes it may wait for a server that gives out tokens."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 0.1)

    with SHARED.lock, pytest.raises(TransientError, match="another thread still waits to sign in"):
        service.call(METHOD, REQUEST, Budget())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_process_that_is_forked_off_begins_without_clients(service: Service) -> None:
    """A channel that its parent used may hang in it, and so may a lock that a thread of its parent held."""
    with pytest.raises(RefusedError):
        service.call(METHOD, REQUEST, Budget())
    with SHARED.lock:
        child = os.fork()
        if not child:
            os._exit(len(SHARED.clients) + SHARED.lock.locked())

    assert SHARED.clients
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Refusing(grpc.GenericRpcHandler):
    """A server that refuses every call with these details."""

    def __init__(self, code: Code, *details: Any) -> None:  # noqa: ANN401 messages of Google's
        self._status = status_pb2.Status(code=code, message="no")
        for detail in details:
            packed = Packed()
            packed.Pack(detail)
            self._status.details.append(packed)

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Takes any call."""

        def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort_with_status(rpc_status.to_status(self._status))

        return grpc.unary_unary_rpc_method_handler(refuse)


@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.INVALID_ARGUMENT, Code.UNAVAILABLE])
def test_what_google_says_beside_its_text_is_kept(code: Code, monkeypatch: pytest.MonkeyPatch) -> None:
    """When to ask again, which field is wrong, which resource it is about, and the cause in one word."""
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.seconds = 10**11 if code is Code.UNAVAILABLE else 7
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="backup.expire_time", description="is in the past")
    about = error_details_pb2.ResourceInfo(resource_name="projects/p/instances/i")
    info = error_details_pb2.ErrorInfo(reason="SERVICE_DISABLED")
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Refusing(code, retry, bad, about, info)])
    monkeypatch.setenv("SPANNER_EMULATOR_HOST", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    monkeypatch.setattr(calls, "CALL_S_MAX", 0.5)
    server.start()
    SHARED.begin()

    with pytest.raises(CallError) as caught:
        Service("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER").call(
            METHOD, REQUEST, Budget()
        )
    server.stop(None)

    error = caught.value
    assert (error.code, error.message) == (code.name, "no")
    assert error.retry_after == timedelta(seconds=calls.RETRY_AFTER_S_MAX if code is Code.UNAVAILABLE else 7)
    assert error.violations == (("backup.expire_time", "is in the past"),)
    assert (error.resource, error.reason) == ("projects/p/instances/i", "SERVICE_DISABLED")
