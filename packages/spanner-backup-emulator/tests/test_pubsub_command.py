"""`python -m spanner_backup_emulator.pubsub` is the emulator as a program."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys

import pytest

TOPIC = "projects/p/topics/commands"
SUBSCRIPTION = "projects/p/subscriptions/push"
BOUND_S = 60.0
"""Start and end of the program take about 2 s; reaching this is a failure."""


def test_the_command_serves_pushes_and_ends_on_sigterm() -> None:
    """It says where it is, has what it was told to create, and ends with 0 and no warning."""
    with socket.create_server(("127.0.0.1", 0)) as endpoint:
        endpoint.settimeout(BOUND_S)
        url = f"http://127.0.0.1:{endpoint.getsockname()[1]}/{TOPIC}"
        command = [sys.executable, "-W", "error", "-m", "spanner_backup_emulator.pubsub", "--port", "0"]
        command += ["--topic", TOPIC, "--push", f"{SUBSCRIPTION}={TOPIC}={url}?a=b"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            variable, _, address = program.stdout.readline().removeprefix("export ").strip().partition("=")
            host, port = address.split(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=BOUND_S)
            connection.request("POST", f"/v1/{TOPIC}:publish", json.dumps({"messages": [{"data": "eA=="}]}))
            published = connection.getresponse().status
            connection.close()
            pushed, _ = endpoint.accept()
            with pushed:
                request_line = pushed.makefile("rb").readline()
                program.terminate()
                _, errors = program.communicate(timeout=BOUND_S)

    assert variable == "PUBSUB_EMULATOR_HOST"
    assert published == 200
    assert request_line == f"POST /{TOPIC}?a=b HTTP/1.1\r\n".encode()
    assert (program.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--topic", "nonsense"], "Invalid resource name given (name=nonsense)"),
        (["--topic", TOPIC, "--push", f"{SUBSCRIPTION}={TOPIC}=https://h/"], "is not an http URL"),
        (["--push", f"{SUBSCRIPTION}={TOPIC}=http://h/"], "Resource not found (resource=commands)."),
    ],
)
def test_the_command_refuses_what_it_cannot_create(arguments: list[str], text: str) -> None:
    """It ends with the usual status of a bad command line, and says what is wrong."""
    command = [sys.executable, "-m", "spanner_backup_emulator.pubsub", "--port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S, check=False)

    assert done.returncode == 2
    assert text in done.stderr
