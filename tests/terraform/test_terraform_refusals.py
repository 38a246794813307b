"""What the module refuses, with words that say what is right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.terraform.plans import REPOSITORY, Workspace
from tests.terraform.refusals import ACCEPTED, REFUSALS, TOGETHER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.terraform.plans import Json
    from tests.terraform.refusals import Refusal


def rounds() -> list[list[Refusal]]:
    """The refusals in as few plans as possible: terraform reports every variable's mistakes at once."""
    batches: list[list[Refusal]] = []
    for refusal in REFUSALS:
        # Schedules and sweeps look at the instances, so they are only judged where these are good.
        other = "sweeps schedules" if refusal[0] == "instances" else "instances"
        free = (batch for batch in batches if not {given for given, *_ in batch} & {refusal[0], *other.split()})
        batch = next(free, None)
        if batch is None:
            batch = []
            batches.append(batch)
        batch.append(refusal)
    return batches


def said(workspace: Workspace, variables: Mapping[str, Json]) -> str:
    """What terraform says of these variables, on one line."""
    done = workspace.try_plan("terraform", variables)
    assert done.returncode != 0, f"accepted: {variables}"
    return re.sub(r"[\s│]+", " ", done.stdout + done.stderr)


@pytest.mark.parametrize("batch", rounds(), ids=lambda batch: f"{len(batch)}-{batch[0][2][:20]}")
def test_each_check_refuses_what_it_should(
    workspace: Workspace, minimal_variables: dict[str, Json], batch: Sequence[Refusal]
) -> None:
    """A bad value is answered with the message of the check that it breaks."""
    words = said(workspace, {**minimal_variables, **{name: value for name, value, _ in batch}})

    missing = [refusal for refusal in batch if refusal[2] not in words]
    assert not missing, words


@pytest.mark.parametrize(("variables", "message"), TOGETHER, ids=[message for _, message in TOGETHER])
def test_variables_that_contradict_each_other_are_refused(
    workspace: Workspace, minimal_variables: dict[str, Json], variables: dict[str, Json], message: str
) -> None:
    """What only two variables together get wrong is found before anything is made."""
    assert message in said(workspace, {**minimal_variables, **variables})


@pytest.mark.parametrize("variables", ACCEPTED, ids=["high", "low"])
def test_the_ends_of_every_range_are_accepted(
    workspace: Workspace, minimal_variables: dict[str, Json], variables: dict[str, Json]
) -> None:
    """A check refuses no value that is right."""
    done = workspace.try_plan("terraform", {**minimal_variables, **variables})

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_check_has_a_case() -> None:
    """Each message in the module's code is one that some case provokes."""
    provoked = [message for *_, message in REFUSALS] + [message for _, message in TOGETHER]
    code = "".join(path.read_text() for path in sorted((REPOSITORY / "terraform").glob("*.tf")))
    messages = re.findall(r'error_message = "(.+)"\n', code)

    assert messages
    filled = {r"\$\{[^}]*timeout_s\}": "120", r"\$\{[^}]*cancel_after_min\}": "25h"}
    for pattern, value in filled.items():
        messages = [re.sub(pattern, value, text) for text in messages]
    left = [text for text in messages if not any(part in text for part in provoked)]
    assert not left
