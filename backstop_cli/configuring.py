"""The settings in force, where each came from, and whether what they name is there: `config`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

import click

from backstop_cli import history, output
from backstop_cli.clients import call, client
from backstop_cli.errors import CliError, Exit, words
from backstop_cli.messages import Subscription
from backstop_cli.session import Session, common
from backstop_cli.settings import VARIABLES

NEEDED_FOR = {
    "commands topic": "start, cancel, follow, sweep",
    "results topic": "watch, --wait (which can read Spanner instead)",
    "queue": "status and describe, to say who follows what",
    "instance": "audit, short names",
    "backup operations": "status, describe, audit, the questions of cancel and sweep, --wait without a results topic",
    "backups": "status, describe, audit, short names, the questions of cancel and sweep",
    "log": "why",
}


@click.command()
@common
def config(session: Session) -> int:
    """Show the settings in force and where each came from, and try what they name and what you may do there."""
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

    hint = ""
    try:
        return {"what": what, "ok": True, "detail": check(session)}
    except CliError as error:
        detail = " ".join(error.message.split())
    except GoogleAPIError as error:
        detail = ": ".join(words(error))
    except GoogleAuthError as error:
        detail, hint = f"{str(error).rstrip('.')}.", " Log in with: gcloud auth application-default login"
    return {"what": what, "ok": False, "detail": f"{detail} Needed for: {NEEDED_FOR[what]}.{hint}"}


def _may(asked: Any, resource: str, look: Callable[[], object], *permissions: str) -> str:
    """Whether we may do something with a resource, as its service says; emulators know no permissions."""
    from google.api_core.exceptions import MethodNotImplemented, PermissionDenied

    try:
        answer = call(asked.test_iam_permissions, {"resource": resource, "permissions": list(permissions)})
    except MethodNotImplemented:
        look()
        return f"{resource}; permissions unknown here"
    missing = sorted(set(permissions) - set(answer.permissions))
    if missing:
        with contextlib.suppress(PermissionDenied):  # Looking takes one more permission, which nobody needs.
            look()
        raise CliError(f"You lack {', '.join(missing)} on {resource}.")
    return resource


def _commands_topic(session: Session) -> str:
    return _topic(session.settings.commands_topic, "pubsub.topics.publish")


def _topic(topic: str, permission: str) -> str:
    publisher = client("google.pubsub_v1", "PublisherClient", "PUBSUB")
    return _may(publisher, topic, lambda: call(publisher.get_topic, {"topic": topic}), permission)


def _results_topic(session: Session) -> str:
    topic = session.settings.results_topic
    if not topic:
        return "none is set: --wait reads Spanner"
    found = _topic(topic, "pubsub.topics.attachSubscription")
    # Whether one may be made says the project alone, so it is tried.
    with Subscription(topic) as source:
        subscriber = client("google.pubsub_v1", "SubscriberClient", "PUBSUB")
        _may(subscriber, source.name, lambda: None, "pubsub.subscriptions.consume", "pubsub.subscriptions.delete")
    return found


def _queue(session: Session) -> str:
    tasks = client("google.cloud.tasks_v2", "CloudTasksClient", "CLOUD_TASKS")
    queue = session.settings.queue
    # Not every service answers for a permission of this kind, so it is tried: one task, with its body.
    call(tasks.list_tasks, {"parent": queue, "response_view": "FULL", "page_size": 1})
    return queue


def _instance(session: Session) -> str:
    instance = session.settings.instance
    databases = session.spanner.databases(instance)
    return f"{instance}; {len(databases)} databases"


def _backup_operations(session: Session) -> str:
    return session.spanner.probe("backup_operations", "get_operation", session.settings.instance)


def _backups(session: Session) -> str:
    return session.spanner.probe("backups", "get_backup", session.settings.instance)


def _log(session: Session) -> str:
    log = session.settings["log"]
    if log not in {"", "cloud", "-"}:
        if not os.access(log, os.R_OK):
            raise CliError(f"The file {log!r} can't be read.")
        return log
    if log == "-":
        return "standard input"
    if os.environ.get("SPANNER_EMULATOR_HOST"):
        return "not asked: Spanner is an emulator"
    history.probe(session.settings.project)
    return "Cloud Logging"


_CHECKS: dict[str, Callable[[Session], str]] = {
    "commands topic": _commands_topic,
    "results topic": _results_topic,
    "queue": _queue,
    "instance": _instance,
    "backup operations": _backup_operations,
    "backups": _backups,
    "log": _log,
}
