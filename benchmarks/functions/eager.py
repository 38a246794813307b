"""Backstop, but with the clients imported the way that Google's samples import them: whole, and at the top."""

from __future__ import annotations

import google.cloud.pubsub_v1
import google.cloud.spanner  # noqa: F401 that these two are imported is all that is different

from main import on_message

__all__ = ["on_message"]
