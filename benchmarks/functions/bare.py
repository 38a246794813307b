"""What functions-framework itself costs: a function that does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import functions_framework

if TYPE_CHECKING:
    from flask import Request


@functions_framework.http
def on_message(request: Request) -> tuple[str, int]:
    """Takes the body in, as any function must, and answers."""
    request.get_data()
    return "", 204
