"""The deployment by hand: the shell block of its page, run by a shell whose `gcloud` says what it was told."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from backstop.gcp import settings
from tests.terraform.grants import Grant, shortened
from tests.terraform.plans import REPOSITORY, Plan
from tests.terraform.standin.computed import project_number
from tests.terraform.watching import FUNCTION, JOB, QUEUE, environment_of, payload

SHELL = r"""
set -euo pipefail
gcloud() {
  case "$1 $2" in
    "projects describe") echo "$NUMBER_OF_PROJECT" ;;
    "functions describe") echo URI ;;
    *) printf '%s\x1f' "$@" >&3; echo >&3 ;;
  esac
}
sleep() { :; }
zip() { :; }
exec 3>&1
"""


class Command(NamedTuple):
    """One gcloud command: its words, and its flags."""

    words: tuple[str, ...]
    flags: dict[str, str]


def commands(project: str) -> list[Command]:
    """The page's gcloud commands, in order."""
    page = (REPOSITORY / "docs" / "deploy-by-hand.md").read_text()
    (block,) = re.findall(r"^```bash\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shell = ["bash", "-c", f"NUMBER_OF_PROJECT={project_number(project)}{SHELL}{block}"]
    done = subprocess.run(shell, capture_output=True, text=True, check=True, timeout=60)
    found = []
    for line in done.stdout.splitlines():
        words = line.split("\x1f")[:-1]
        flags = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
        found.append(Command(tuple(word for word in words if not word.startswith("--")), flags))
    return found


BINDINGS = {
    "iam service-accounts": "account",
    "projects": "project",
    "pubsub subscriptions": "subscription",
    "pubsub topics": "topic",
    "run services": "service",
    "spanner instances": "instance",
    "storage buckets": "bucket",
    "tasks queues": "queue",
}
"""What each command's add-iam-policy-binding is about, in the words of the table of grants."""


def grants(found: list[Command], project: str) -> list[Grant]:
    """Every role that the commands grant, as the table of grants writes it."""
    return sorted(_grant(command, project) for command in found if "add-iam-policy-binding" in command.words)


def _grant(command: Command, project: str) -> Grant:
    *kind, _, target = command.words
    what = BINDINGS[" ".join(kind)]
    on = f"{project}/{target}" if what == "instance" else shortened(target.removeprefix("gs://"), project)
    _, _, condition = command.flags.get("condition", "").partition("expression=")
    return Grant(shortened(command.flags["member"], project), command.flags["role"], f"{what} {on}", condition)


def made(found: Iterable[Command]) -> dict[tuple[str, ...], dict[str, object]]:
    """Everything that the commands make, with its flags; what holds several things is read."""
    things: dict[tuple[str, ...], dict[str, object]] = {}
    for words, flags in found:
        read: dict[str, object] = dict(flags)
        if "message-body" in flags:
            # What is as the function has it by default needs no saying by hand.
            body = json.loads(flags["message-body"])
            read["message-body"] = {name: value for name, value in body.items() if value not in ("keep", False)}
        if "set-env-vars" in flags:
            variables = dict(pair.split("=", 1) for pair in flags["set-env-vars"].split(","))
            read["set-env-vars"] = settings.read(variables), variables["THREADS"]
        for verb in {"create", "deploy", "enable"} & {*words}:
            kind = words[: words.index(verb)]
            names = [word for word in words[words.index(verb) + 1 :] if word != "pubsub"]
            things |= {(*kind, name): read for name in names or [flags["service"]]}
    return things


_SUBSCRIPTION = (
    "pubsub subscriptions create {name} --topic={topic/} --ack-deadline={ack_deadline_seconds}"
    " --message-retention-duration={message_retention_duration} --expiration-period={expiration_policy.ttl}"
)

MADE: Mapping[tuple[str, str | None], str] = {
    ("google_project_service", None): "services enable {service}",
    ("google_project_service_identity", None): "beta services identity create --service={service}",
    ("google_service_account", None): "iam service-accounts create {account_id}",
    ("google_pubsub_topic", None): "pubsub topics create {name}",
    ("google_project_iam_custom_role", None): "iam roles create {role_id} --project={project} --title={title}"
    " --permissions={permissions}",
    ("google_storage_bucket", None): "storage buckets create gs://{name} --location={location}"
    " --uniform-bucket-level-access --public-access-prevention",
    (QUEUE, None): "tasks queues create {name} --location={location}"
    " --max-dispatches-per-second={rate_limits.max_dispatches_per_second}"
    " --max-concurrent-dispatches={rate_limits.max_concurrent_dispatches} --max-attempts={retry_config.max_attempts}"
    " --max-retry-duration={retry_config.max_retry_duration} --min-backoff={retry_config.min_backoff}"
    " --max-backoff={retry_config.max_backoff} --max-doublings={retry_config.max_doublings}"
    " --log-sampling-ratio={stackdriver_logging_config.sampling_ratio}",
    (FUNCTION, None): "functions deploy {name} --gen2 --region={location} --runtime={build_config.runtime}"
    " --entry-point={build_config.entry_point} --trigger-http --no-allow-unauthenticated"
    " --source=gs://{build_config.source.storage_source.bucket}/backstop.zip"
    " --ingress-settings={service_config.ingress_settings}"
    " --run-service-account={service_config.service_account_email}"
    " --build-service-account={build_config.service_account} --cpu={service_config.available_cpu}"
    " --memory={service_config.available_memory} --concurrency={service_config.max_instance_request_concurrency}"
    " --min-instances={service_config.min_instance_count} --max-instances={service_config.max_instance_count}"
    " --timeout={service_config.timeout_seconds}s",
    ("google_pubsub_subscription", "dead_letters"): _SUBSCRIPTION,
    ("google_pubsub_subscription", "push"): f"{_SUBSCRIPTION} --push-endpoint={{push_config.push_endpoint}}"
    " --push-auth-token-audience={push_config.oidc_token.audience}"
    " --push-auth-service-account={push_config.oidc_token.service_account_email}"
    " --min-retry-delay={retry_policy.minimum_backoff} --max-retry-delay={retry_policy.maximum_backoff}"
    " --dead-letter-topic={dead_letter_policy.dead_letter_topic/}"
    " --max-delivery-attempts={dead_letter_policy.max_delivery_attempts}",
    (JOB, None): "scheduler jobs create pubsub {name} --location={region} --schedule={schedule}"
    " --time-zone={time_zone} --topic={pubsub_target.topic_name/}",
}
"""What gcloud would be told to make each thing of a plan; of {path/} only what follows the last slash."""

SAID = {"-1": "unlimited", "None": "0s", "": "never", "ALLOW_INTERNAL_ONLY": "internal-only"}
"""What gcloud calls by another name."""


def planned(plan: Plan) -> Iterator[Command]:
    """The commands that would make what a plan makes."""
    for (kind, name), text in MADE.items():
        for found in plan.all(kind, name):

            def value(path: re.Match[str]) -> str:
                value = found[path[1]]  # noqa: B023  # called at once
                said = ",".join(sorted(value)) if isinstance(value, list) else str(value)
                return SAID.get(said, said.rpartition("/")[2] if path[2] else said)

            filled = re.sub(r"\{([\w.]+)(/?)\}", value, text)
            words, *flags = filled.replace(plan.one(FUNCTION)["service_config.uri"], "URI").split(" --")
            more = {}
            if kind == JOB:
                more["message-body"] = json.dumps(payload(found))
            if kind == FUNCTION:
                more["set-env-vars"] = ",".join("=".join(pair) for pair in environment_of(plan).items())
            yield Command(tuple(words.split()), {**dict(flag.partition("=")[::2] for flag in flags), **more})
