"""The try before a release: on the emulators from its second step on, and as a dry run of the whole."""

from __future__ import annotations

import pytest

from tools import try_in_a_project


def test_the_try_sees_every_step_on_the_emulators() -> None:
    """Start, cancel, a completed backup, its deletion, and nothing that would alarm."""
    rows = try_in_a_project.with_emulators()

    assert [(row.step, row.saw) for row in rows] == [
        ("start", "STARTED"),
        ("cancel", "CANCELLED"),
        ("a backup that completes", "COMPLETED"),
        ("a deletion", "COMPLETED_THEN_DELETED"),
        ("alerts off", "no outcome that alarms"),
    ]
    assert "| a deletion | COMPLETED_THEN_DELETED |" in try_in_a_project.report(rows)


def test_a_dry_run_says_what_it_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Apply first, destroy last, and every command between them; nothing is run."""
    names = {"project": "example-project", "region": "europe-west1", "instance": "orders", "database": "try"}
    try_in_a_project.main([*(word for name, value in names.items() for word in (f"--{name}", value)), "--dry-run"])

    said = capsys.readouterr().out
    commands = [line for line in said.splitlines() if line.startswith("+ ")]
    assert "init -input=false" in commands[0]
    assert "apply -input=false" in commands[1]
    assert "destroy -input=false" in commands[-2]
    published = [command for command in commands if "topics publish backstop-try-commands" in command]
    assert len(published) == 4
    assert "| destroy |" in said


def test_without_a_project_it_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """It never guesses where to deploy."""
    with pytest.raises(SystemExit):
        try_in_a_project.main(["--project", "example-project"])

    assert "--instance" in capsys.readouterr().err
