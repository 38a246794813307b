"""Who the function is, and where it finds Google: all that Google's own library offers, seen from the other end."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from backstop.gcp import settings
from tests.support.google import ACCOUNT, Google, Tokens, certificate, run

READ = """
import json, sys
from backstop.errors import CallError
from backstop.gcp import calls
from backstop.gcp.calls import Budget
from backstop.gcp.pubsub import _service as pubsub
from backstop.gcp.spanner import _service as spanner
from backstop.gcp.tasks import TasksQueue, _service as tasks
PREPARE
NAME = "projects/demo-project/instances/i1/backups/b1/operations/o1"
CALLS = {
    "spanner": lambda: spanner.call("get_operation", {"name": NAME}, Budget()),
    "once": lambda: spanner.call("cancel_operation", {"name": NAME}, Budget(), once=True),
    "pubsub": lambda: pubsub.call("get_topic", {"topic": "projects/p1/topics/t1"}, Budget()),
    "tasks": lambda: tasks.call("get_task", {"name": NAME}, Budget()),
}
said = []
for name in NAMES:
    try:
        CALLS[name]()
    except CallError as error:
        said.append([type(error).__name__, error.code, error.failure.message])
print(json.dumps(said))
"""
"""Makes some calls, and prints how each failed."""

NOTHING_IS_HERE = ["RefusedError", "NOT_FOUND", "nothing is here"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key and its certificate."""
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def google(files: tuple[Path, Path]) -> Iterator[Google]:
    """A service with that certificate."""
    server = Google(*(path.read_bytes() for path in files))
    yield server
    server.stop()


@pytest.fixture
def tokens() -> Iterator[Tokens]:
    """Whoever gives out tokens."""
    server = Tokens()
    yield server
    server.stop()


@pytest.fixture
def environ(files: tuple[Path, Path], google: Google, tmp_path: Path) -> dict[str, str]:
    """All three services at one address by their settings, a certificate that gRPC trusts, and nobody signed in."""
    return {
        **dict.fromkeys(settings.ENDPOINTS, google.address),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(files[1]),
        "CLOUDSDK_CONFIG": str(tmp_path),
        **metadata("127.0.0.1:1"),
        "GCE_METADATA_DETECT_RETRIES": "1",
    }


def metadata(address: str) -> dict[str, str]:
    """Where the metadata server is, by Google's library's own variables."""
    return {"GCE_METADATA_HOST": address, "GCE_METADATA_IP": address}


def call(environ: Mapping[str, str], *names: str, prepare: str = "") -> Any:  # noqa: ANN401 as JSON gives it
    """Makes these calls in a new process, and returns how each failed."""
    program = READ.replace("PREPARE", prepare).replace("NAMES", repr(names or ("spanner",)))
    return run(program, environ)


def write(directory: Path, **document: object) -> dict[str, str]:
    """A file of credentials, and the variable that names it."""
    path = directory / "credentials.json"
    path.write_text(json.dumps(document))
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}


def key(files: tuple[Path, Path], tokens: Tokens) -> dict[str, str]:
    """A service account's key."""
    return {
        "type": "service_account",
        "project_id": "demo-project",
        "private_key_id": "1",
        "private_key": files[0].read_text(),
        "client_email": ACCOUNT,
        "token_uri": f"http://{tokens.address}/token",
    }


def test_a_key_file_signs_in_its_account_and_names_the_project_that_pays(
    files: tuple[Path, Path], google: Google, tokens: Tokens, environ: dict[str, str], tmp_path: Path
) -> None:
    """Google's clients sign their tokens themselves, and tell a quota project with each call."""
    environ |= write(tmp_path, **key(files, tokens)) | {"GOOGLE_CLOUD_QUOTA_PROJECT": "paying-project"}

    assert call(environ) == [NOTHING_IS_HERE]

    claims = json.loads(base64.urlsafe_b64decode(google.callers[0].split(".")[1] + "=="))
    assert claims["iss"] == ACCOUNT
    assert google.headers["x-goog-user-project"] == "paying-project"


def test_workload_identity_exchanges_its_own_token(
    google: Google, tokens: Tokens, environ: dict[str, str], tmp_path: Path
) -> None:
    """No key of Google's is needed where another identity is trusted."""
    (tmp_path / "token").write_text("ours")
    environ |= write(
        tmp_path,
        type="external_account",
        audience="//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",  # noqa: S106 a kind of token
        token_url=f"http://{tokens.address}/exchange",
        credential_source={"file": str(tmp_path / "token")},
    )

    assert call({**environ, "GOOGLE_CLOUD_PROJECT": "demo-project"}) == [NOTHING_IS_HERE]

    assert google.callers == ["exchanged-1"]
    assert "subject_token=ours" in tokens.asked[0][1]


def test_an_impersonated_account_is_the_one_that_calls(
    files: tuple[Path, Path], google: Google, tokens: Tokens, environ: dict[str, str], tmp_path: Path
) -> None:
    """Who may act as another account says which; only IAM's address is another one here."""
    environ |= write(
        tmp_path,
        type="impersonated_service_account",
        service_account_impersonation_url=f"https://iamcredentials.googleapis.com/v1/x/{ACCOUNT}:generateAccessToken",
        source_credentials=key(files, tokens),
    )
    iam = f"import google.auth.iam; google.auth.iam._IAM_ENDPOINT = 'http://{tokens.address}/{{}}:generateAccessToken'"

    assert call(environ, prepare=iam) == [NOTHING_IS_HERE]

    assert google.callers == [f"as-{ACCOUNT}:generateAccessToken"]


def test_the_function_s_own_account_is_asked_for_once_for_all_services(
    google: Google, tokens: Tokens, environ: dict[str, str]
) -> None:
    """On Google's machines the metadata server gives the token, and all three clients share it."""
    environ |= metadata(tokens.address)

    assert call(environ, "spanner", "pubsub", "tasks") == 3 * [NOTHING_IS_HERE]

    assert google.callers == 3 * ["metadata-1"]
    assert tokens.count("/token") == 1


@pytest.mark.parametrize("name", ["spanner", "once"])
def test_a_token_that_google_refuses_is_replaced_at_once_and_once(
    name: str, google: Google, tokens: Tokens, environ: dict[str, str]
) -> None:
    """Nothing has come of such a call, so one that must not be repeated is made again too; and others know.

    A second token that is refused ends the call: it isn't the token then, and what was begun is retried.
    """
    environ |= metadata(tokens.address)
    google.refused = {"metadata-1"}

    assert call(environ, name, name) == 2 * [NOTHING_IS_HERE]

    assert google.callers == ["metadata-1", "metadata-2", "metadata-2"]
    google.refused = {"metadata-3", "metadata-4"}
    assert call(environ, name) == [["RefusedError", "UNAUTHENTICATED", "who are you?"]]
    assert google.callers[3:] == ["metadata-3", "metadata-4"]


def test_nobody_to_sign_in_as_is_told_with_the_variable_s_name(google: Google, environ: dict[str, str]) -> None:
    """It is about the deployment and not about the message, which comes again."""
    ((kind, code, message),) = call(environ)

    assert (kind, code) == ("TransientError", "UNAUTHENTICATED")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in message
    assert google.callers == []


def test_somebody_who_can_t_prove_to_be_google_is_told_nothing(
    google: Google, tokens: Tokens, environ: dict[str, str]
) -> None:
    """A certificate that no authority has signed ends the call before the token is sent."""
    del environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"]

    (said,) = call(environ | metadata(tokens.address), prepare="calls.CALL_S_MAX = 1.0")

    assert said[:2] == ["TransientError", "UNAVAILABLE"]
    assert google.callers == []


def test_another_universe_is_where_everything_is(tokens: Tokens, environ: dict[str, str]) -> None:
    """Clouds of other operators have their own domain, for the clients and for the tasks that publish."""
    environ = {name: value for name, value in environ.items() if "ENDPOINT" not in name}
    environ |= metadata(tokens.address) | {"GOOGLE_CLOUD_UNIVERSE_DOMAIN": "example.cloud"}
    where = """
print(json.dumps([one._made(9.0).api_endpoint for one in (spanner, pubsub, tasks)]
  + [TasksQueue("", "projects/p/topics/follow%2Dups", "", Budget())._url])); sys.exit()"""

    assert call(environ, prepare=where) == [
        "spanner.example.cloud",
        "pubsub.example.cloud",
        "cloudtasks.example.cloud",
        "https://pubsub.example.cloud/v1/projects/p/topics/follow%252Dups:publish",
    ]
