"""The function as it is, but for a bug: the first delivery of each message ends in an exception that nobody expects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import main
from backstop.dispatch import receive
from backstop.execute import Report
from backstop.ports import Ports, Settings
from backstop.wire import Delivery

_seen: set[str] = set()


def _receive_with_a_bug(
    body: bytes, path: str, headers: Mapping[str, str], now: datetime, ports: Ports, settings: Settings
) -> tuple[Delivery, Report]:
    message_id = json.loads(body)["message"]["messageId"]
    if message_id not in _seen:
        _seen.add(message_id)
        raise ZeroDivisionError("a bug that was planted")
    return receive(body, path, headers, now, ports, settings)


main.receive = _receive_with_a_bug  # type: ignore[attr-defined]  # nobody else may take it from there
on_message = main.on_message
