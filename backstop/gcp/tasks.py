"""The delay: a Cloud Task that publishes the follow-up when it is due."""

import base64
import json
import os
from datetime import datetime
from urllib.parse import quote

from backstop.errors import CallError, TransientError
from backstop.gcp.calls import Budget, Service
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP

_SCOPE = "https://www.googleapis.com/auth/pubsub"

_service = Service("google.cloud.tasks_v2", "CloudTasksClient", "CLOUD_TASKS")


class TasksQueue:
    """The `Queue` port, for one delivery."""

    def __init__(self, queue: str, topic: str, service_account: str, budget: Budget) -> None:
        """Takes full names, and the e-mail of the account whose token the task publishes with.

        Cloud Tasks publishes from Google's own network, to Pub/Sub's public address: it reaches no private endpoint.
        """
        self._queue, self._service_account, self._budget = queue, service_account, budget
        emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
        universe = os.environ.get("GOOGLE_CLOUD_UNIVERSE_DOMAIN") or "googleapis.com"
        server = f"http://{emulator}" if emulator else f"https://pubsub.{universe}"
        self._url = f"{server}/v1/{quote(topic)}:publish"

    def schedule(self, identity: str, data: bytes, due: datetime) -> None:
        """Makes a task of that name; one that exists, or existed lately, is the same follow-up, and success.

        https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#createtaskrequest (documented)
        """
        message = {"data": base64.b64encode(data).decode(), "attributes": {KIND_ATTRIBUTE: KIND_FOLLOW_UP}}
        headers, body = {"Content-Type": "application/json"}, json.dumps({"messages": [message]}).encode()
        http_request = {"url": self._url, "http_method": "POST", "headers": headers, "body": body}
        if self._service_account:
            http_request["oauth_token"] = {"service_account_email": self._service_account, "scope": _SCOPE}
        task = {"name": f"{self._queue}/tasks/{identity}", "schedule_time": due, "http_request": http_request}
        try:
            _service.call("create_task", {"parent": self._queue, "task": task}, self._budget)
        except CallError as error:
            if error.code != "ALREADY_EXISTS":
                why = f"could not schedule the follow-up: {error.failure.message}"
                raise TransientError(error.code, why) from error
