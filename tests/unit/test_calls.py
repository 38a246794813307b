"""How calls to Google are made: within the delivery's time, and with errors of our own kinds."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import google.api_core.exceptions
import google.auth.exceptions
import grpc
import pytest
from google.api_core.retry import Retry

from backstop.errors import CallError, QuotaError, RefusedError, TransientError
from backstop.gcp import calls
from backstop.gcp.calls import Budget, Once, our_errors
from emulators.errors import Code

# Google's exceptions have no types.
exceptions: Any = google.api_core.exceptions
sign_in: Any = google.auth.exceptions

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


@pytest.mark.parametrize(("code", "kind"), KINDS.items())
def test_each_of_google_s_codes_is_one_of_our_three_errors(code: str, kind: type[CallError]) -> None:
    """The library's own exception for the code becomes what a handler can act on, in the same words."""
    theirs = exceptions.from_grpc_status(grpc.StatusCode[code], "what Google says")

    with pytest.raises(CallError) as caught, our_errors():
        raise theirs

    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.message) == (code, "what Google says")
    assert caught.value.__cause__ is theirs


def test_every_code_but_ok_is_in_the_table() -> None:
    """No code of Google's was forgotten."""
    assert set(KINDS) == {code.name for code in Code} - {"OK"}


@pytest.mark.parametrize(
    ("theirs", "code"),
    [
        (exceptions.GoogleAPICallError("no code"), "UNKNOWN"),
        (exceptions.RetryError("too long", None), "DEADLINE_EXCEEDED"),
        (sign_in.RefreshError("no token"), "UNAVAILABLE"),
        (sign_in.DefaultCredentialsError("no account"), "UNAVAILABLE"),
    ],
)
def test_what_has_no_code_passes(theirs: Exception, code: str) -> None:
    """A retry that ran out, and a sign-in that failed, are transient."""
    with pytest.raises(TransientError) as caught, our_errors():
        raise theirs

    assert caught.value.code == code


def test_an_error_without_words_is_told_by_its_name() -> None:
    """An empty text helps nobody."""
    with pytest.raises(RefusedError) as caught, our_errors():
        raise exceptions.NotFound("")

    assert caught.value.message


def test_a_bug_of_ours_stays_what_it_is() -> None:
    """Only Google's errors are translated; everything else is a bug and must be seen."""
    with pytest.raises(KeyError), our_errors():
        raise KeyError("x")


def test_a_call_that_succeeds_is_left_alone() -> None:
    """Nothing is raised where nothing went wrong."""
    with our_errors():
        done = True

    assert done


def test_a_call_may_take_ten_seconds_and_never_more_than_the_delivery_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls of a delivery together stay within the function's own limit."""
    now_s = 1000.0
    monkeypatch.setattr(calls, "time", SimpleNamespace(monotonic=lambda: now_s))
    budget = Budget()

    assert budget.call_s() == calls.CALL_S_MAX == 10.0
    now_s += calls.DELIVERY_S_MAX - 3.0
    assert budget.call_s() == pytest.approx(3.0)
    assert budget.once()["timeout"] == pytest.approx(3.0)
    assert budget.once()["retry"] is None
    now_s += 3.0
    with pytest.raises(TransientError, match="the delivery's 50 s are used up") as caught:
        budget.call_s()

    assert caught.value.code == "DEADLINE_EXCEEDED"
    with pytest.raises(TransientError):
        budget.once()
    with pytest.raises(TransientError):
        budget.repeatable()


def test_a_call_that_may_be_repeated_is_repeated_while_the_service_is_unavailable() -> None:
    """Two short outages are bridged without the handler noticing."""
    options = Budget().repeatable()
    retry = options["retry"]
    attempts: list[float] = []

    def work() -> str:
        attempts.append(time.monotonic())
        if len(attempts) < 3:
            raise exceptions.ServiceUnavailable("not now")
        return "done"

    assert isinstance(retry, Retry)
    assert retry(work)() == "done"
    assert len(attempts) == 3
    assert options["timeout"] == calls.ATTEMPT_S_MAX


@pytest.mark.parametrize("theirs", [exceptions.InternalServerError, exceptions.ResourceExhausted, exceptions.NotFound])
def test_no_other_error_is_repeated_within_a_call(theirs: type[Exception]) -> None:
    """Quota and refusals aren't helped by asking at once again."""
    retry = Budget().repeatable()["retry"]
    attempts: list[int] = []

    def work() -> None:
        attempts.append(1)
        raise theirs("no")

    assert isinstance(retry, Retry)
    with pytest.raises(theirs):
        retry(work)()
    assert len(attempts) == 1


def test_the_repetition_ends_with_the_call_s_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that stays away is a transient fault, soon."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 0.3)
    retry = Budget().repeatable()["retry"]
    began_s = time.monotonic()

    def work() -> None:
        raise exceptions.ServiceUnavailable("not now")

    assert isinstance(retry, Retry)
    with pytest.raises(TransientError), our_errors():
        retry(work)()
    assert time.monotonic() - began_s < 2.0


def test_a_client_is_made_once_however_many_threads_ask_for_it() -> None:
    """A second client would be a second set of connections."""
    made: list[object] = []
    ready = threading.Barrier(8)

    def make() -> object:
        time.sleep(0.02)
        made.append(object())
        return made[-1]

    once = Once(make)
    given: list[object] = []

    def ask() -> None:
        ready.wait()
        given.append(once())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1
    assert given == made * 8
