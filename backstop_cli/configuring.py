"""The settings in force, where each came from, and whether what they name is there: `config`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from backstop_cli import output
from backstop_cli.clients import call, client
from backstop_cli.errors import CliError, Exit, words
from backstop_cli.session import Session, common
from backstop_cli.settings import VARIABLES

NEEDED_FOR = {
    "commands topic": "start, cancel, follow, sweep",
    "results topic": "watch, --wait (which can read Spanner instead)",
    "queue": "status and describe, to say who follows what",
    "instance": "everything that reads Spanner",
}


@click.command()
@common
def config(session: Session) -> int:
    """Show the settings in force and where each came from, and check that what they name is there."""
    settings = [{"name": name, **_setting(session, name)} for name in VARIABLES]
    checks = [_check(session, what, check) for what, check in _CHECKS.items()]
    if session.form != "table":
        output.emit({"settings": settings, "checks": checks}, session.form)
    else:
        console = output.out()
        rows = [(one["name"], one["value"] or "-", one["source"]) for one in settings]
        console.print(output.table(("SETTING", "VALUE", "FROM"), rows))
        console.print()
        found = [(one["what"], "ok" if one["ok"] else "missing", one["detail"]) for one in checks]
        console.print(output.table(("CHECK", "", "DETAIL"), found))
    return Exit.AS_WISHED if all(one["ok"] for one in checks) else Exit.USAGE


def _setting(session: Session, name: str) -> dict[str, str]:
    setting = session.settings.found[name]
    return {"value": setting.value, "source": setting.source}


def _check(session: Session, what: str, check: Callable[[Session], str]) -> dict[str, Any]:
    """One check: what it is about, how it went, and what it is needed for where it went wrong."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        return {"what": what, "ok": True, "detail": check(session)}
    except CliError as error:
        detail = " ".join(error.message.split())
    except GoogleAPIError as error:
        detail = ": ".join(words(error))
    except GoogleAuthError as error:
        detail = f"{str(error).rstrip('.')}. Log in with: gcloud auth application-default login."
    return {"what": what, "ok": False, "detail": f"{detail} Needed for: {NEEDED_FOR[what]}."}


def _may(asked: Any, resource: str, *permissions: str) -> str:
    """Whether we may do something with a resource, as its service says; emulators know no permissions."""
    from google.api_core.exceptions import MethodNotImplemented

    try:
        answer = call(asked.test_iam_permissions, {"resource": resource, "permissions": list(permissions)})
    except MethodNotImplemented:
        return f"{resource}; permissions unknown here"
    missing = sorted(set(permissions) - set(answer.permissions))
    if missing:
        raise CliError(f"{resource} is there, and you lack {', '.join(missing)}.")
    return resource


def _commands_topic(session: Session) -> str:
    publisher = client("google.pubsub_v1", "PublisherClient", "PUBSUB")
    topic = session.settings.commands_topic
    call(publisher.get_topic, {"topic": topic})
    return _may(publisher, topic, "pubsub.topics.publish")


def _results_topic(session: Session) -> str:
    topic = session.settings.results_topic
    if not topic:
        return "none is set: --wait reads Spanner"
    publisher = client("google.pubsub_v1", "PublisherClient", "PUBSUB")
    call(publisher.get_topic, {"topic": topic})
    return _may(publisher, topic, "pubsub.topics.attachSubscription")


def _queue(session: Session) -> str:
    tasks = client("google.cloud.tasks_v2", "CloudTasksClient", "CLOUD_TASKS")
    queue = session.settings.queue
    call(tasks.get_queue, {"name": queue})
    # Not every service answers for a permission of this kind, so it is tried: one task, with its body.
    call(tasks.list_tasks, {"parent": queue, "response_view": "FULL", "page_size": 1})
    return queue


def _instance(session: Session) -> str:
    instance = session.settings.instance
    databases = session.spanner.databases(instance)
    return f"{instance}; {len(databases)} databases"


_CHECKS: dict[str, Callable[[Session], str]] = {
    "commands topic": _commands_topic,
    "results topic": _results_topic,
    "queue": _queue,
    "instance": _instance,
}
