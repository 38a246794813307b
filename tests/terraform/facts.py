"""What must hold of every plan. Each fact is one function whose name is the claim; it raises where the plan breaks it.

The tests judge the module by these, and the planted mistakes judge these: see mistakes.py.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from tests.terraform.grants import expected, grants, project_of
from tests.terraform.plans import REPOSITORY, Plan
from tests.terraform.subjects import PLANNED
from tests.terraform.watching import FUNCTION, QUEUE, REGISTERED, Fact, environment_of, fact, granted_instances

CALLS_PER_LOOK_MAX = 3
SPANNER_CALLS_PER_SECOND = 5
"""https://docs.cloud.google.com/spanner/quotas (documented)"""

HANDLING = {"backups.create", "backups.get", "backups.list", "databases.list"} | {
    f"backupOperations.{verb}" for verb in ("cancel", "get", "list")
}
DELETING = {"backups.delete", "backups.update"}

FIXED: Mapping[tuple[str, str | None], Mapping[str, object]] = {
    (FUNCTION, None): {
        # Less than a whole CPU can't serve several requests at a time.
        "service_config.available_cpu": "1",
        "service_config.min_instance_count": 0,
        "service_config.ingress_settings": "ALLOW_INTERNAL_ONLY",
        "build_config.entry_point": "on_message",
    },
    ("google_pubsub_subscription", None): {"expiration_policy.ttl": ""},
    ("google_pubsub_subscription", "push"): {
        "retry_policy": [{"minimum_backoff": "10s", "maximum_backoff": "600s"}],
        "push_config.no_wrapper": [],
    },
    ("google_pubsub_subscription", "dead_letters"): {
        "message_retention_duration": "2678400s",
        # A dead letter that is pushed to the function fails once more.
        "push_config": [],
        "dead_letter_policy": [],
    },
    # A task is tried until it worked: what it carries is the only memory of a backup.
    (QUEUE, None): {"retry_config.max_attempts": -1, "retry_config.max_retry_duration": None, "desired_state": None},
    # Others in the project use the same API.
    ("google_project_service", None): {"disable_on_destroy": False},
    ("google_storage_bucket", None): {"public_access_prevention": "enforced", "uniform_bucket_level_access": True},
}
"""Values that are the same whatever is deployed."""


@fact
def what_is_fixed_is_as_it_was_decided(plan: Plan, _: str) -> None:
    """Each has the value of the table."""
    for (kind, name), values in FIXED.items():
        for found in plan.all(kind, name):
            assert {path: found[path] for path in values} == values, found.address


@fact
def only_the_listed_grants_are_made(plan: Plan, subject: str) -> None:
    """Every grant is in the table, with its condition, and every line of the table is granted."""
    found, listed = grants(plan), expected(subject, project_of(plan), plan.one(FUNCTION)["location"])
    assert found == listed, f"too many: {set(found) - set(listed)}; missing: {set(listed) - set(found)}"


@fact
def every_push_names_its_topic_to_the_function(plan: Plan, _: str) -> None:
    """Commands and follow-ups are pushed, signed by the push account, with their own topic in the path."""
    uri = plan.one(FUNCTION)["service_config.uri"]
    assert uri.endswith(".run.app")
    topics = {plan.one("google_pubsub_topic", name)["id"] for name in ("commands", "follow_ups")}
    account = plan.one("google_service_account", "push")["email"]
    pushed = plan.all("google_pubsub_subscription", "push")
    assert {found["topic"] for found in pushed} == topics
    for found in pushed:
        assert found["push_config.push_endpoint"] == f"{uri}/{found['topic']}"
        assert found["push_config.oidc_token"] == [{"audience": uri, "service_account_email": account}]


@fact
def a_message_is_pushed_once_at_a_time_and_kept_where_it_fails(plan: Plan, _: str) -> None:
    """The ack deadline is above the function's timeout, and dead letters go to a topic that a subscription keeps."""
    topic = plan.one("google_pubsub_topic", "dead_letters")["id"]
    for found in plan.all("google_pubsub_subscription", "push"):
        assert plan.one(FUNCTION)["service_config.timeout_seconds"] < found["ack_deadline_seconds"] <= 600
        assert found["dead_letter_policy.dead_letter_topic"] == topic
        assert found["dead_letter_policy.max_delivery_attempts"] >= 5
    assert plan.one("google_pubsub_subscription", "dead_letters")["topic"] == topic


@fact
def the_function_keeps_within_its_quotas(plan: Plan, _: str) -> None:
    """Follow-ups within Spanner's administrative quota; as many threads as an instance is given requests at a time."""
    looks_per_second = plan.one(QUEUE)["rate_limits.max_dispatches_per_second"]
    assert 0 < looks_per_second * CALLS_PER_LOOK_MAX < SPANNER_CALLS_PER_SECOND
    function = plan.one(FUNCTION)
    assert environment_of(plan)["THREADS"] == f"{function['service_config.max_instance_request_concurrency']}"
    assert function["service_config.max_instance_count"] <= 20


@fact
def the_function_is_told_its_own_topics_and_queue(plan: Plan, _: str) -> None:
    """Each name in the environment is the name of the resource that is meant."""
    environment, topics = environment_of(plan), {it.name: it["id"] for it in plan.all("google_pubsub_topic")}
    assert environment["BACKSTOP_FOLLOW_UPS_TOPIC"] == topics["follow_ups"]
    assert environment["BACKSTOP_RESULTS_TOPIC"] == topics["results"]
    assert environment["BACKSTOP_TASKS_QUEUE"] == plan.one(QUEUE)["id"]
    assert environment["BACKSTOP_TASKS_SERVICE_ACCOUNT"] == plan.one("google_service_account", "tasks")["email"]


@fact
def each_identity_does_its_own_part(plan: Plan, _: str) -> None:
    """Four accounts; the function runs as one and is built by another."""
    accounts = {found.name: found["email"] for found in plan.all("google_service_account")}
    assert sorted(accounts) == ["build", "push", "runtime", "tasks"]
    assert len(set(accounts.values())) == len(accounts)
    function = plan.one(FUNCTION)
    assert function["service_config.service_account_email"] == accounts["runtime"]
    assert function["build_config.service_account"].endswith(f"/{accounts['build']}")


@fact
def the_roles_hold_what_the_function_calls_and_no_more(plan: Plan, subject: str) -> None:
    """Deleting is in the instance's role exactly where the function is told that it may."""
    may_delete = subject != "switched"
    assert environment_of(plan)["BACKSTOP_ALLOW_DELETE"] == str(may_delete).lower()
    held = {"instance": HANDLING | (DELETING if may_delete else set()), "database": {"databases.createBackup"}}
    for found in plan.all("google_project_iam_custom_role"):
        assert set(found["permissions"]) == {f"spanner.{it}" for it in held[found.name]}


@fact
def the_archive_holds_what_runs_and_nothing_else(plan: Plan, _: str) -> None:
    """The entry point, the lock file and the package's modules; it is built from exactly that object."""
    source = plan.one(FUNCTION)["build_config.source.storage_source.0"]
    # A resource, which is written by whoever applies; a data source would be written by whoever plans.
    assert len(plan.all("archive_file")) == len(plan.all("google_storage_bucket_object"))
    for found in plan.all("google_storage_bucket_object"):
        assert (source["object"], source["bucket"]) == (found["name"], found["bucket"])
        assert found["bucket"] == plan.one("google_storage_bucket")["name"]
        assert re.fullmatch(r"backstop-[0-9a-f]{64}\.zip", found["name"])
        modules = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "backstop").rglob("*.py")}
        with zipfile.ZipFile(plan.archives / PurePath(found["source"]).name) as archive:
            assert set(archive.namelist()) == {"main.py", "requirements.txt", *modules}


@fact
def everything_is_in_the_one_project(plan: Plan, _: str) -> None:
    """Only the Spanner roles and their bindings may be elsewhere."""
    for found in plan.resources:
        if "spanner" not in found.type and found.type != "google_project_iam_custom_role":
            assert found.values.get("project", project_of(plan)) == project_of(plan), found.address


@fact
def the_function_may_do_what_the_module_was_told_and_no_more(plan: Plan, subject: str) -> None:
    """Its instances are those that it has rights on; all else is strict, unless the operator says less."""
    environment, loose = environment_of(plan), subject == "switched"
    assert environment["BACKSTOP_INSTANCES"].split(",") == granted_instances(plan)
    assert environment["BACKSTOP_ALLOW_SCHEDULED"] == str(loose).lower()
    assert environment["BACKSTOP_ALLOW_WEAKER_KEY"] == str(loose).lower()
    assert environment["BACKSTOP_CANCEL_AFTER_MIN"] == ("12h" if loose else "1h")


@fact
def what_an_organisation_asks_for_is_off_or_everywhere(plan: Plan, subject: str) -> None:
    """Keys, regions, private pool, network and policy are on every resource that has them, or on none."""
    given: Mapping[str, Any] = PLANNED[subject][1] or {}
    keys, connector, network = (given.get(name, {}) for name in ("kms_keys", "vpc_connector", "vpc_direct"))
    regions = given.get("message_regions")
    stored = [{"allowed_persistence_regions": regions, "enforce_in_transit": None}] if regions else []
    for topic in plan.all("google_pubsub_topic"):
        assert (topic["kms_key_name"], topic["message_storage_policy"]) == (keys.get("topics"), stored)
    function = plan.one(FUNCTION)
    assert function["kms_key_name"] == keys.get("function")
    assert function["build_config.worker_pool"] == given.get("worker_pool")
    for name, value in {
        "binary_authorization_policy": given.get("binary_authorization_policy"),
        "vpc_connector": connector.get("name"),
        "vpc_connector_egress_settings": connector.get("egress"),
        "direct_vpc_egress": "VPC_EGRESS_ALL_TRAFFIC" if network else None,
        "direct_vpc_network_interface": [network] if network else [],
    }.items():
        assert function[f"service_config.{name}"] == value, name
    labelled = [found for found in plan.resources if found.values.get("labels") is not None]
    assert {found.type for found in labelled} >= {FUNCTION, "google_pubsub_topic", "google_pubsub_subscription"}
    assert len({tuple(sorted(found["labels"].items())) for found in labelled}) == 1


@fact
def outputs_wait_for_their_grants(plan: Plan, _: str) -> None:
    """Whoever has the commands topic's name can rely on every grant between there and Spanner."""
    waits = plan.outputs()
    assert waits["commands_topic"] == {"google_pubsub_subscription.push", "time_sleep.message_grants"}
    assert waits["function_uri"] == {"google_cloud_run_service_iam_member.push_invokes_function"}
    assert waits["results_topic"] == {"google_pubsub_topic_iam_member.runtime_publishes_results"}


FACTS: Mapping[str, Fact] = REGISTERED
"""Every fact, those about the clock and the eyes included, by its name."""
