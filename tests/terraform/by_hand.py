"""The deployment by hand: the shell block of its page, run by a shell whose `gcloud` says what it was told."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from tests.terraform.facts import FUNCTION, QUEUE, SERVICE, environment_of
from tests.terraform.grants import Grant, shortened
from tests.terraform.plans import REPOSITORY
from tests.terraform.standin.computed import project_number
from tests.terraform.watching import payload

if TYPE_CHECKING:
    from tests.terraform.plans import Plan, Resource

URI = "URI"
"""Stands for the function's address, which only Google knows."""

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

DEFAULTS = {
    "ALLOW_DELETE": "true",
    "GIVE_UP_AFTER": "3d",
    "LOOK_MAX": "1h",
    "LOOK_MIN": "10s",
    "RETENTION": "14d",
    "ALLOW_SCHEDULED": "false",
    "ALLOW_WEAKER_KEY": "false",
    "CANCEL_AFTER_MIN": "1h",
}
"""What the function takes by itself, and nobody has to say by hand."""

Flags = dict[str, object]


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
    ("iam", "service-accounts"): "account",
    ("projects",): "project",
    ("pubsub", "subscriptions"): "subscription",
    ("pubsub", "topics"): "topic",
    ("run", "services"): "service",
    ("spanner", "instances"): "instance",
    ("storage", "buckets"): "bucket",
    ("tasks", "queues"): "queue",
}
"""What each command's add-iam-policy-binding is about, in the words of the table of grants."""


def grants(found: list[Command], project: str) -> list[Grant]:
    """Every role that the commands grant, as the table of grants writes it."""
    return sorted(_grant(command, project) for command in found if "add-iam-policy-binding" in command.words)


def _grant(command: Command, project: str) -> Grant:
    *kind, _, target = command.words
    what = BINDINGS[tuple(kind)]
    on = f"{project}/{target}" if what == "instance" else shortened(target.removeprefix("gs://"), project)
    _, _, condition = command.flags.get("condition", "").partition("expression=")
    return Grant(shortened(command.flags["member"], project), command.flags["role"], f"{what} {on}", condition)


def made(found: list[Command]) -> dict[tuple[str, ...], Flags]:
    """Everything that the commands make, with its flags; what holds several things is taken apart."""
    things: dict[tuple[str, ...], Flags] = {}
    for words, flags in found:
        several: Flags = dict(flags)
        if "message-body" in flags:
            several["message-body"] = json.loads(flags["message-body"])
        if "set-env-vars" in flags:
            several["set-env-vars"] = dict(pair.split("=", 1) for pair in flags["set-env-vars"].split(","))
        for verb in {"create", "deploy", "enable"} & {*words}:
            kind = words[: words.index(verb)]
            names = [word for word in words[words.index(verb) + 1 :] if word != "pubsub"]
            things |= {(*kind, name): several for name in names or [flags["service"]]}
    return things


def planned(plan: Plan) -> dict[tuple[str, ...], Flags]:
    """What a plan makes, in the words and flags of gcloud."""
    (bucket,) = (found.text("name") for found in plan.all("google_storage_bucket"))
    sealed: Flags = {"uniform-bucket-level-access": "", "public-access-prevention": ""}
    things: dict[tuple[str, ...], Flags] = {
        ("storage", "buckets", f"gs://{bucket}"): {"location": plan.one(FUNCTION).text("location"), **sealed},
        ("tasks", "queues", plan.one(QUEUE).text("name")): _queue(plan.one(QUEUE)),
        ("functions", plan.one(FUNCTION).text("name")): _function(plan, bucket),
    }
    for kind, name, words in (
        ("google_pubsub_topic", "name", ("pubsub", "topics")),
        ("google_service_account", "account_id", ("iam", "service-accounts")),
        ("google_project_service", "service", ("services",)),
    ):
        things |= {(*words, found.text(name)): {} for found in plan.all(kind)}
    for agent in plan.all("google_project_service_identity"):
        api = agent.text("service")
        things["beta", "services", "identity", api] = {"service": api}
    for role in plan.all("google_project_iam_custom_role"):
        permissions = ",".join(sorted(role.texts("permissions")))
        flags: Flags = {"project": role.text("project"), "title": role.text("title"), "permissions": permissions}
        things["iam", "roles", role.text("role_id")] = flags
    for found in plan.all("google_pubsub_subscription"):
        things["pubsub", "subscriptions", found.text("name")] = _subscription(found, plan.one(FUNCTION))
    for job in plan.all("google_cloud_scheduler_job"):
        things["scheduler", "jobs", job.text("name")] = _job(job)
    return things


def _queue(queue: Resource) -> Flags:
    return {
        "location": queue.text("location"),
        "max-dispatches-per-second": f"{queue.number('rate_limits', 0, 'max_dispatches_per_second'):.0f}",
        "max-concurrent-dispatches": f"{queue.number('rate_limits', 0, 'max_concurrent_dispatches'):.0f}",
        "max-attempts": "unlimited" if queue.number("retry_config", 0, "max_attempts") == -1 else "some",
        "max-retry-duration": queue.get("retry_config", 0, "max_retry_duration") or "0s",
        "max-doublings": f"{queue.number('retry_config', 0, 'max_doublings'):.0f}",
        **{f"{end}-backoff": queue.text("retry_config", 0, f"{end}_backoff") for end in ("min", "max")},
        "log-sampling-ratio": f"{queue.number('stackdriver_logging_config', 0, 'sampling_ratio'):.0f}",
    }


def _function(plan: Plan, bucket: str) -> Flags:
    function = plan.one(FUNCTION)
    defaults = {*(f"BACKSTOP_{name}={value}" for name, value in DEFAULTS.items()), "LOG_EXECUTION_ID=true"}
    said = {name: value for name, value in environment_of(plan).items() if f"{name}={value}" not in defaults}
    return {
        "gen2": "",
        "trigger-http": "",
        "no-allow-unauthenticated": "",
        "region": function.text("location"),
        "source": f"gs://{bucket}/backstop.zip",
        "runtime": function.text("build_config", 0, "runtime"),
        "entry-point": function.text("build_config", 0, "entry_point"),
        "build-service-account": function.text("build_config", 0, "service_account"),
        "run-service-account": function.text(*SERVICE, "service_account_email"),
        "ingress-settings": function.text(*SERVICE, "ingress_settings")
        .removeprefix("ALLOW_")
        .replace("_", "-")
        .lower(),
        "concurrency": f"{function.number(*SERVICE, 'max_instance_request_concurrency'):.0f}",
        **{f"{end}-instances": f"{function.number(*SERVICE, f'{end}_instance_count'):.0f}" for end in ("min", "max")},
        "timeout": f"{function.number(*SERVICE, 'timeout_seconds'):.0f}s",
        "cpu": function.text(*SERVICE, "available_cpu"),
        "memory": function.text(*SERVICE, "available_memory"),
        "set-env-vars": said,
    }


def _subscription(found: Resource, function: Resource) -> Flags:
    flags: Flags = {
        "topic": found.text("topic").rpartition("/")[2],
        "ack-deadline": f"{found.number('ack_deadline_seconds'):.0f}",
        "message-retention-duration": found.text("message_retention_duration"),
        "expiration-period": found.text("expiration_policy", 0, "ttl") or "never",
    }
    if found.name != "push":
        return flags
    endpoint = found.text("push_config", 0, "push_endpoint")
    return {
        **flags,
        "push-endpoint": endpoint.replace(function.text(*SERVICE, "uri"), URI),
        "push-auth-token-audience": URI,
        "push-auth-service-account": found.text("push_config", 0, "oidc_token", 0, "service_account_email"),
        "min-retry-delay": found.text("retry_policy", 0, "minimum_backoff"),
        "max-retry-delay": found.text("retry_policy", 0, "maximum_backoff"),
        "dead-letter-topic": found.text("dead_letter_policy", 0, "dead_letter_topic").rpartition("/")[2],
        "max-delivery-attempts": f"{found.number('dead_letter_policy', 0, 'max_delivery_attempts'):.0f}",
    }


def _job(job: Resource) -> Flags:
    return {
        "location": job.text("region"),
        "schedule": job.text("schedule"),
        "time-zone": job.text("time_zone"),
        "topic": job.text("pubsub_target", 0, "topic_name").rpartition("/")[2],
        # What is as the function has it by default needs no saying by hand.
        "message-body": {name: value for name, value in payload(job).items() if value not in ("keep", False)},
    }
