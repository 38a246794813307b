"""The entry point: takes a delivery, has it done, says what came of it. It decides nothing."""

from __future__ import annotations

import io
import os
import time
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import functions_framework

from backstop.dispatch import receive
from backstop.gcp import logs, settings
from backstop.gcp.calls import Budget
from backstop.gcp.pubsub import PubSubEvents
from backstop.gcp.spanner import SpannerBackups
from backstop.gcp.tasks import TasksQueue
from backstop.ports import Ports
from backstop.wire import trace_name

if TYPE_CHECKING:
    import flask

ENVIRONMENT = settings.read(os.environ)
"""Read as the instance starts, so that a deployment with a wrong setting never serves."""
logs.write(logs.serving(ENVIRONMENT.values))

ACKNOWLEDGED, AGAIN, BUG = 204, 503, 500
WELL, UNREADABLE, NOT_ALLOWED = 200, 400, 405
"""Pub/Sub takes any 2xx for done and everything else for "bring it again".

https://cloud.google.com/pubsub/docs/push (documented)
"""


@functions_framework.http
def on_message(request: flask.Request) -> tuple[str, int]:
    """Answers one push of Pub/Sub's or one event of Eventarc's."""
    if request.method != "POST":
        # A health check asks whether somebody is there, and nothing more.
        return "Backstop takes Pub/Sub's pushes.", WELL if request.method in {"GET", "HEAD"} else NOT_ALLOWED
    started_s = time.monotonic()
    headers = {name.lower(): value for name, value in request.headers.items()}
    trace = trace_name(headers, ENVIRONMENT.tasks_queue.split("/")[1])
    try:
        now, body = datetime.now(UTC), request.get_data()
    except Exception as error:  # noqa: BLE001 each server has its own for a body that breaks off, which no push does
        logs.write(logs.unread(repr(error), trace))
        request.stream = io.BytesIO()  # the framework reads what is left once more, after the answer
        return "", UNREADABLE
    try:
        delivery, report = receive(body, request.path, headers, now, _ports(trace), ENVIRONMENT.handlers)
        line = logs.line(delivery, report, time.monotonic() - started_s, trace)
    except Exception:  # noqa: BLE001 a bug must be told with its trace, and the message brought again
        logs.write(logs.bug(traceback.format_exc(), body, trace))
        return "", BUG
    logs.write(line)
    return "", AGAIN if report.retry else ACKNOWLEDGED


def _ports(trace: str) -> Ports:
    budget = Budget()
    return Ports(
        spanner=SpannerBackups(budget),
        queue=TasksQueue(
            ENVIRONMENT.tasks_queue, ENVIRONMENT.handlers.follow_ups_topic, ENVIRONMENT.tasks_service_account, budget
        ),
        events=PubSubEvents(ENVIRONMENT.results_topic, trace, budget),
    )
