"""The stand-in, a copy of the module, and the plans that several tests read; each is made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping

import pytest

from tests.terraform.plans import Plan, Providers, Workspace
from tests.terraform.standin.server import serving
from tests.terraform.subjects import PLANNED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps what reads the plans on one worker, so that they are made once."""
    for item in items:
        if isinstance(item, pytest.Function) and "workspace" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("plans"))


@pytest.fixture(scope="session")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    """The stand-in, running; without terraform the test is skipped, but not in CI."""
    if shutil.which("terraform") is None:
        if os.environ.get("CI"):
            pytest.fail("terraform is not installed, and CI must not skip the tests of the module")
        pytest.skip("terraform is not installed (https://developer.hashicorp.com/terraform/install)")
    archives = tmp_path_factory.mktemp("archives")
    with serving(archives) as environment:
        yield Providers(environment, archives)


@pytest.fixture(scope="session")
def workspace(providers: Providers, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the module and its examples, without the function's code."""
    return Workspace(tmp_path_factory.mktemp("module"), providers).without_code()


@pytest.fixture(scope="session")
def plans(workspace: Workspace, providers: Providers, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Plan]:
    """A plan of each subject and of each example, made at first use; the fleet's has the function's code."""

    class Plans(dict[str, Plan]):
        def __missing__(self, name: str) -> Plan:
            below, variables = PLANNED[name]
            coded = Workspace(tmp_path_factory.mktemp("coded"), providers) if name == "fleet" else workspace
            self[name] = coded.plan(below, variables)
            return self[name]

    return Plans()


@pytest.fixture(scope="session")
def fleet(plans: Mapping[str, Plan]) -> Plan:
    """The plan that has a bit of everything."""
    return plans["fleet"]
