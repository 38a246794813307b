"""What the module refuses, with words that say what is right."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping

import pytest

from tests.terraform.plans import REPOSITORY, Json, Plan, Workspace
from tests.terraform.refusals import CHECKS, TOGETHER
from tests.terraform.subjects import BARE, ENDS


@pytest.fixture(scope="module")
def said(workspace: Workspace) -> list[str]:
    """What terraform says to each bad value, on one line: to all at once, each in a call of the module's variables."""
    variables, calls = workspace.directory / "only-variables", workspace.directory / "calls"
    variables.mkdir()
    for path in (*(REPOSITORY / "terraform").glob("variables*.tf"), REPOSITORY / "terraform" / "durations.tf"):
        shutil.copy(path, variables)
    calls.mkdir()
    for number, (name, value, _) in enumerate(CHECKS):
        call: dict[str, Json] = {**BARE, "source": "../only-variables", name: value}
        (calls / f"{number}.tf.json").write_text(json.dumps({"module": {f"call_{number}": call}}))
    answers = [""] * len(CHECKS)
    for diagnostic in json.loads(workspace.run("validate", "-json", below=calls.name).stdout)["diagnostics"]:
        answers[int(diagnostic["range"]["filename"].partition(".")[0])] += diagnostic["detail"]
    return answers


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[f"{name}-{value}"[:40] for name, value, _ in CHECKS])
def test_each_check_refuses_what_it_should(said: list[str], number: int) -> None:
    """A bad value is answered with the message of the check that it breaks."""
    assert CHECKS[number][2] in said[number]


@pytest.mark.parametrize(("variables", "message"), TOGETHER, ids=[message for _, message in TOGETHER])
def test_variables_that_contradict_each_other_are_refused(
    workspace: Workspace, variables: dict[str, Json], message: str
) -> None:
    """What only two variables together get wrong is found before anything is made."""
    done = workspace.try_plan("terraform", {**BARE, **variables})

    assert done.returncode != 0
    assert message in re.sub(r"[\s│]+", " ", done.stdout + done.stderr)


@pytest.mark.parametrize("ends", ENDS)
def test_the_ends_of_every_range_are_accepted(plans: Mapping[str, Plan], ends: str) -> None:
    """A check refuses no value that is right."""
    assert plans[ends].resources


def test_every_check_has_a_case() -> None:
    """Each message in the module's code is one that some case provokes."""
    provoked = [message for *_, message in CHECKS] + [message for _, message in TOGETHER]
    code = "".join(path.read_text() for path in sorted((REPOSITORY / "terraform").glob("*.tf")))
    messages = re.findall(r'error_message = "(.+)"\n', code)

    filled = {r"\$\{[^}]*timeout_s\}": "120", r"\$\{[^}]*cancel_after_min\}": "25h"}
    for pattern, value in filled.items():
        messages = [re.sub(pattern, value, text) for text in messages]
    assert messages
    assert not [text for text in messages if not any(part in text for part in provoked)]
