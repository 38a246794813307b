"""The least that a function can do to learn something: one call of Spanner's, with the official client."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import functions_framework
import grpc
from google.cloud.spanner_admin_database_v1.services.database_admin import DatabaseAdminClient

if TYPE_CHECKING:
    from flask import Request

CHANNEL = grpc.insecure_channel(os.environ["SPANNER_EMULATOR_HOST"])
CLIENT = DatabaseAdminClient(transport=DatabaseAdminClient.get_transport_class("grpc")(channel=CHANNEL))


@functions_framework.http
def on_message(request: Request) -> tuple[str, int]:
    """Reads the operation that the message names in an attribute."""
    CLIENT.get_operation({"name": json.loads(request.get_data())["message"]["attributes"]["operation"]})
    return "", 204
