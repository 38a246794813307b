"""What the module refuses, with words that say what is right."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.terraform.plans import REPOSITORY, Json, Workspace
from tests.terraform.refusals import REFUSED, SEVERAL
from tests.terraform.subjects import BARE


@pytest.fixture(scope="module")
def said(workspace: Workspace) -> list[str]:
    """What terraform says to each, in a call of its own: validating the variables is enough for most."""
    variables, alone, together = (workspace.directory / name for name in ("only-variables", "alone", "together"))
    for directory in (variables, alone, together):
        directory.mkdir()
    for path in (*(REPOSITORY / "terraform").glob("variables*.tf"), REPOSITORY / "terraform" / "durations.tf"):
        shutil.copy(path, variables)
    for number, (given, message) in enumerate(REFUSED):
        below, module = (together, "terraform") if (given, message) in SEVERAL else (alone, variables.name)
        call: dict[str, Json] = {**BARE, "source": f"../{module}", **given}
        (below / f"{number}.tf.json").write_text(json.dumps({"module": {f"call_{number}": call}}))
    planned = workspace.try_plan(together.name, None, "-no-color").stderr
    answers = [re.sub(r"[\s│]+", " ", planned) if case in SEVERAL else "" for case in REFUSED]
    for diagnostic in json.loads(workspace.run("validate", "-json", below=alone.name).stdout)["diagnostics"]:
        answers[int(diagnostic["range"]["filename"].partition(".")[0])] += diagnostic["detail"]
    return answers


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=[f"{given}"[:60] for given, _ in REFUSED])
def test_each_check_refuses_what_it_should(said: list[str], number: int) -> None:
    """A bad value is answered with the message of the check that it breaks."""
    assert REFUSED[number][1] in said[number]


def test_every_check_has_a_case() -> None:
    """Each message in the module's code is one that some case provokes."""
    code = "".join(path.read_text() for path in sorted((REPOSITORY / "terraform").glob("*.tf")))
    messages = re.findall(r'error_message = "(.+)"\n', code)

    for pattern, value in {r"\$\{[^}]*timeout_s\}": "120", r"\$\{[^}]*cancel_after_min\}": "25h"}.items():
        messages = [re.sub(pattern, value, text) for text in messages]
    assert messages
    assert not [text for text in messages if not any(part in text for _, part in REFUSED)]
