"""A mistake that somebody could make in the module, and who must notice it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tests.terraform.plans import Json

TERRAFORM = "terraform"
"""The mistake is noticed by terraform itself, before any fact is asked."""

REFUSALS = "refusals"
"""The mistake is noticed because terraform no longer refuses what it should: the module, with `variables`."""


class Mistake(msgspec.Struct, frozen=True):
    """One mistake: what is written instead of what, and who notices.

    Attributes:
        title: What somebody did wrong.
        file: Where, below terraform/.
        old: What stands there; exactly once, or every time where `every` is set.
        new: What is written instead.
        noticed_by: The fact that fails; TERRAFORM where it refuses the plan, REFUSALS where it should have.
        subject: The deployment in which it shows.
        every: Whether it is made everywhere in the file.
        variables: What should have been refused.
    """

    title: str
    file: str
    old: str
    new: str
    noticed_by: str
    subject: str = "lean"
    every: bool = False
    variables: Mapping[str, Json] | None = None
