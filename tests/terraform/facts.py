"""What must hold of every plan. Each fact is one function whose name is the claim; it raises where the plan breaks it.

The tests judge the module by these, and the planted mistakes judge these: see mistakes.py.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import PurePath
from typing import TYPE_CHECKING

from tests.terraform.grants import EXPECTED, grants
from tests.terraform.plans import REPOSITORY
from tests.terraform.standin.computed import project_number
from tests.terraform.subjects import SUBJECTS
from tests.terraform.watching import REGISTERED, fact, granted_instances

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.terraform.plans import Plan
    from tests.terraform.watching import Fact

CALLS_PER_LOOK_MAX = 3
SPANNER_CALLS_PER_SECOND = 5
"""https://docs.cloud.google.com/spanner/quotas (documented)"""

WATCHING = {"spanner.backups.get", "spanner.backups.list", "spanner.databases.list"}
OPERATIONS = {f"spanner.backupOperations.{verb}" for verb in ("cancel", "get", "list")}
DELETING = {"spanner.backups.delete", "spanner.backups.update"}


FUNCTION = "google_cloudfunctions2_function"
QUEUE = "google_cloud_tasks_queue"
SERVICE = ("service_config", 0)


def environment_of(plan: Plan) -> dict[str, str]:
    """The function's environment."""
    return plan.one(FUNCTION).texts(*SERVICE, "environment_variables")


@fact
def only_the_listed_grants_are_made(plan: Plan, subject: str) -> None:
    """Every grant is in the table, and every line of the table is granted."""
    found, expected = grants(plan, SUBJECTS[subject].project), sorted(EXPECTED[subject])
    assert found == expected, f"too many: {set(found) - set(expected)}; missing: {set(expected) - set(found)}"


@fact
def no_condition_is_wider_than_it_says(plan: Plan, subject: str) -> None:
    """The one right that is given on the project but meant for one bucket's objects is held to that bucket's name."""
    found = [grant for grant in grants(plan, SUBJECTS[subject].project) if grant.condition]
    number, region = project_number(SUBJECTS[subject].project), plan.one(FUNCTION).text("location")
    copies = f'resource.name.startsWith("projects/_/buckets/gcf-v2-sources-{number}-{region}")'
    assert [(grant.role, grant.condition) for grant in found] == [("roles/storage.objectViewer", copies)]


@fact
def nobody_but_the_tasks_account_publishes_follow_ups(plan: Plan, subject: str) -> None:
    """A follow-up can only come from a task that the function made."""
    topic = plan.one("google_pubsub_topic", "follow_ups").text("name")
    may = [grant.who for grant in grants(plan, SUBJECTS[subject].project) if grant.on == f"topic {topic}"]
    assert may == [plan.one("google_service_account", "tasks").text("account_id")]


@fact
def the_public_is_let_in_nowhere(plan: Plan, _: str) -> None:
    """No member is everybody, and the function and the bucket refuse the internet."""
    members = [found.text("member") for found in plan.resources if "_iam_member" in found.type]
    members = [member for member in members if member.startswith("all")]
    assert not members
    assert plan.one(FUNCTION).text(*SERVICE, "ingress_settings") == "ALLOW_INTERNAL_ONLY"
    for bucket in plan.all("google_storage_bucket"):
        assert bucket.get("public_access_prevention") == "enforced"
        assert bucket.get("uniform_bucket_level_access") is True


@fact
def every_push_names_its_topic_to_the_function(plan: Plan, _: str) -> None:
    """Commands and follow-ups are pushed, signed by the push account, with their own topic in the path."""
    uri = plan.one(FUNCTION).text(*SERVICE, "uri")
    assert uri.endswith(".run.app")
    pushed = plan.all("google_pubsub_subscription", "push")
    topics = {plan.one("google_pubsub_topic", name).text("id") for name in ("commands", "follow_ups")}
    assert {found.text("topic") for found in pushed} == topics
    for found in pushed:
        assert found.text("push_config", 0, "push_endpoint") == f"{uri}/{found.text('topic')}"
        assert found.text("push_config", 0, "oidc_token", 0, "audience") == uri
        account = plan.one("google_service_account", "push").text("email")
        assert found.text("push_config", 0, "oidc_token", 0, "service_account_email") == account
        assert not found.get("push_config", 0, "no_wrapper"), "the function reads the wrapped form"


@fact
def no_message_is_pushed_again_while_the_function_works_on_it(plan: Plan, _: str) -> None:
    """The ack deadline is above the function's timeout."""
    timeout = plan.one(FUNCTION).number(*SERVICE, "timeout_seconds")
    for found in plan.all("google_pubsub_subscription", "push"):
        assert timeout < found.number("ack_deadline_seconds") <= 600


@fact
def retries_back_off(plan: Plan, _: str) -> None:
    """A message that is refused waits 10 s at first and 10 min at most."""
    for found in plan.all("google_pubsub_subscription", "push"):
        assert found.get("retry_policy", 0) == {"minimum_backoff": "10s", "maximum_backoff": "600s"}


@fact
def no_subscription_expires(plan: Plan, _: str) -> None:
    """A quarterly backup outlives the 31 idle days after which Pub/Sub deletes a subscription."""
    for found in plan.all("google_pubsub_subscription"):
        assert found.get("expiration_policy", 0, "ttl") == ""


@fact
def dead_letters_are_kept_for_somebody_to_read(plan: Plan, _: str) -> None:
    """Both pushes have the dead-letter topic, it has a subscription that keeps, and follow-ups survive a few faults."""
    topic = plan.one("google_pubsub_topic", "dead_letters").text("id")
    for found in plan.all("google_pubsub_subscription", "push"):
        assert found.text("dead_letter_policy", 0, "dead_letter_topic") == topic
        assert found.number("dead_letter_policy", 0, "max_delivery_attempts") >= 5
    kept = plan.one("google_pubsub_subscription", "dead_letters")
    assert kept.text("topic") == topic
    assert not kept.get("push_config"), "a dead letter that is pushed to the function fails once more"
    assert not kept.get("dead_letter_policy")
    assert kept.text("message_retention_duration") == "2678400s"


@fact
def looks_stay_within_spanners_quota(plan: Plan, _: str) -> None:
    """The queue lets no more follow-ups through than Spanner's administrative quota bears."""
    looks_per_second = plan.one(QUEUE).number("rate_limits", 0, "max_dispatches_per_second")
    assert 0 < looks_per_second * CALLS_PER_LOOK_MAX < SPANNER_CALLS_PER_SECOND


@fact
def a_task_never_gives_up(plan: Plan, _: str) -> None:
    """A task is tried until it worked: what it carries is the only memory of a backup."""
    queue = plan.one(QUEUE)
    assert queue.number("retry_config", 0, "max_attempts") == -1
    assert not queue.get("retry_config", 0, "max_retry_duration")
    assert queue.get("desired_state") in (None, "RUNNING")


@fact
def the_function_is_told_its_own_topics_and_queue(plan: Plan, _: str) -> None:
    """Each name in the environment is the name of the resource that is meant."""
    environment = environment_of(plan)
    expected = {
        "FOLLOW_UPS_TOPIC": plan.one("google_pubsub_topic", "follow_ups").text("id"),
        "RESULTS_TOPIC": plan.one("google_pubsub_topic", "results").text("id"),
        "TASKS_QUEUE": plan.one(QUEUE).text("id"),
        "TASKS_SERVICE_ACCOUNT": plan.one("google_service_account", "tasks").text("email"),
    }
    assert {name: environment[f"BACKSTOP_{name}"] for name in expected} == expected


@fact
def each_request_has_a_thread(plan: Plan, _: str) -> None:
    """The server's threads are as many as the requests that an instance is given at a time, on a whole CPU."""
    function = plan.one(FUNCTION)
    concurrency = function.number(*SERVICE, "max_instance_request_concurrency")
    assert environment_of(plan)["THREADS"] == f"{concurrency:.0f}"
    assert function.text(*SERVICE, "available_cpu") == "1"
    assert function.number(*SERVICE, "max_instance_count") <= 20
    assert function.number(*SERVICE, "min_instance_count") == 0


@fact
def each_identity_does_its_own_part(plan: Plan, _: str) -> None:
    """Four accounts; the function runs as one and is built by another."""
    accounts = {found.name: found.text("email") for found in plan.all("google_service_account")}
    assert sorted(accounts) == ["build", "push", "runtime", "tasks"]
    assert len(set(accounts.values())) == len(accounts)
    function = plan.one(FUNCTION)
    assert function.text(*SERVICE, "service_account_email") == accounts["runtime"]
    assert function.text("build_config", 0, "service_account").endswith(f"/{accounts['build']}")
    assert function.text("build_config", 0, "entry_point") == "on_message"


@fact
def the_roles_hold_what_the_function_calls_and_no_more(plan: Plan, subject: str) -> None:
    """Deleting is in the instance's role exactly where the function is told that it may."""
    may_delete = SUBJECTS[subject].may_delete
    assert environment_of(plan)["BACKSTOP_ALLOW_DELETE"] == str(may_delete).lower()
    expected = WATCHING | OPERATIONS | {"spanner.backups.create"} | (DELETING if may_delete else set())
    for found in plan.all("google_project_iam_custom_role", "instance"):
        assert set(found.texts("permissions")) == expected
    for found in plan.all("google_project_iam_custom_role", "database"):
        assert set(found.texts("permissions")) == {"spanner.databases.createBackup"}


@fact
def the_archive_holds_what_runs_and_nothing_else(plan: Plan, _: str) -> None:
    """The entry point, the lock file and the package's modules; it is built from exactly that object."""
    source = plan.one(FUNCTION).get("build_config", 0, "source", 0, "storage_source", 0)
    assert isinstance(source, dict)
    # A resource, which is written by whoever applies; a data source would be written by whoever plans.
    assert len(plan.all("archive_file")) == len(plan.all("google_storage_bucket_object"))
    for found in plan.all("google_storage_bucket_object"):
        assert source["object"] == found.text("name")
        assert source["bucket"] == found.text("bucket") == plan.one("google_storage_bucket").text("name")
        assert re.fullmatch(r"backstop-[0-9a-f]{64}\.zip", found.text("name"))
        modules = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "backstop").rglob("*.py")}
        with zipfile.ZipFile(plan.archives / PurePath(found.text("source")).name) as archive:
            assert set(archive.namelist()) == {"main.py", "requirements.txt", *modules}


@fact
def everything_is_in_the_one_project(plan: Plan, subject: str) -> None:
    """Only the Spanner roles and their bindings may be elsewhere; and no API is switched off by a destroy."""
    for found in plan.resources:
        if "spanner" not in found.type and found.type != "google_project_iam_custom_role":
            assert found.values.get("project", SUBJECTS[subject].project) == SUBJECTS[subject].project, found.address
    for found in plan.all("google_project_service"):
        assert found.get("disable_on_destroy") is False


@fact
def the_function_may_do_what_the_module_was_told_and_no_more(plan: Plan, subject: str) -> None:
    """Its instances are those that it has rights on; all else is strict, unless the operator says less."""
    environment = environment_of(plan)
    assert environment["BACKSTOP_INSTANCES"].split(",") == granted_instances(plan)
    loose = subject == "switched"
    assert environment["BACKSTOP_ALLOW_SCHEDULED"] == str(loose).lower()
    assert environment["BACKSTOP_ALLOW_WEAKER_KEY"] == str(loose).lower()
    assert environment["BACKSTOP_CANCEL_AFTER_MIN"] == ("12h" if loose else "1h")


@fact
def what_an_organisation_asks_for_is_off_or_everywhere(plan: Plan, subject: str) -> None:
    """Keys, regions, private pool, egress and policy are on every resource that has them, or on none."""
    given = SUBJECTS[subject].variables or {}
    keys, connector, network = (given.get(name, {}) for name in ("kms_keys", "vpc_connector", "vpc_direct"))
    assert isinstance(keys, dict)
    assert isinstance(connector, dict)
    for topic in plan.all("google_pubsub_topic"):
        assert topic.get("kms_key_name") == keys.get("topics")
        regions = given.get("message_regions", [])
        assert topic.get("message_storage_policy") == (
            [{"allowed_persistence_regions": regions, "enforce_in_transit": None}] if regions else []
        )
    function = plan.one(FUNCTION)
    assert function.get("kms_key_name") == keys.get("function")
    assert function.get("build_config", 0, "worker_pool") == given.get("worker_pool")
    assert function.get(*SERVICE, "binary_authorization_policy") == given.get("binary_authorization_policy")
    assert function.get(*SERVICE, "vpc_connector") == connector.get("name")
    assert function.get(*SERVICE, "vpc_connector_egress_settings") == connector.get("egress")
    assert function.get(*SERVICE, "direct_vpc_network_interface") == ([network] if network else [])
    assert function.get(*SERVICE, "direct_vpc_egress") == ("VPC_EGRESS_ALL_TRAFFIC" if network else None)
    labelled = [found for found in plan.resources if "labels" in found.values and found.values["labels"] is not None]
    assert {found.type for found in labelled} >= {FUNCTION, "google_pubsub_topic", "google_pubsub_subscription"}
    assert len({tuple(sorted(found.texts("labels").items())) for found in labelled}) == 1


@fact
def outputs_wait_for_their_grants(plan: Plan, _: str) -> None:
    """Whoever has the commands topic's name can rely on every grant between there and Spanner."""
    waits = plan.outputs()
    assert waits["commands_topic"] == {"google_pubsub_subscription.push", "time_sleep.message_grants"}
    assert waits["function_uri"] == {"google_cloud_run_service_iam_member.push_invokes_function"}
    assert waits["results_topic"] == {"google_pubsub_topic_iam_member.runtime_publishes_results"}


FACTS: Mapping[str, Fact] = REGISTERED
"""Every fact, those about the clock and the eyes included, by its name."""
