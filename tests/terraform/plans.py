"""Runs the real `terraform` on a copy of the module, and reads the plans that it makes."""

from __future__ import annotations

import copy
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

REPOSITORY = Path(__file__).parents[2]

RUN_TIMEOUT_S = 200
"""A plan takes under a second here; this is what only something stuck takes, on however busy a machine."""

RUNTIME = {"GOGC": "400", "GOMAXPROCS": "1"}
"""Terraform lives for a second: collecting garbage, and sharing the work among processors, costs more than it saves."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_TERRAFORM = shutil.which("terraform") or "terraform"
_numbers = itertools.count()


class Resource(msgspec.Struct, frozen=True):
    """One resource of a plan, with the values that it would have."""

    address: str
    type: str
    name: str
    values: dict[str, Any]
    index: str | int | None = None

    def __getitem__(self, path: str) -> Any:  # noqa: ANN401  # JSON; whoever asks knows what is there
        """The value at a path with full stops; of a list of blocks the first, unless the path says which."""
        value: Any = self.values
        for step in path.split("."):
            if isinstance(value, list):
                value = value[int(step) if step.isdigit() else 0]
            if not step.isdigit():
                value = value[step]
        return value


class _Module(msgspec.Struct):
    resources: list[Resource] = []
    child_modules: list[_Module] = []

    def everything(self) -> Iterator[Resource]:
        yield from self.resources
        for module in self.child_modules:
            yield from module.everything()


class Plan:
    """What an apply would make."""

    def __init__(self, text: str, archives: Path) -> None:
        read = json.loads(text)
        self.resources = list(msgspec.convert(read["planned_values"]["root_module"], _Module).everything())
        self.configuration: dict[str, Any] = read["configuration"]["root_module"]
        self.archives = archives

    def part(self, module: str) -> Plan:
        """The part of a plan that one of several modules makes."""
        part = copy.copy(self)
        part.resources = [found for found in self.resources if found.address.startswith(f"module.{module}.")]
        return part

    def outputs(self) -> dict[str, set[str]]:
        """What each output of the module waits for: the root's own outputs, or those of the one module it calls."""
        module = self.configuration
        for call in module.get("module_calls", {}).values():
            module = call["module"]
        return {name: set(output.get("depends_on", [])) for name, output in module["outputs"].items()}

    def all(self, kind: str, name: str | None = None) -> list[Resource]:
        """Every resource of a type, and of a name where one is given."""
        return [found for found in self.resources if found.type == kind and name in (None, found.name)]

    def one(self, kind: str, name: str | None = None) -> Resource:
        """The only resource of a type and name."""
        (found,) = self.all(kind, name)
        return found

    def by_index(self, kind: str, name: str) -> dict[str, Resource]:
        """Every resource of a type and name, by the key that it was made for."""
        return {str(found.index): found for found in self.all(kind, name)}


class Providers(NamedTuple):
    """A running stand-in: the environment that makes terraform use it, and where its archives are."""

    environment: Mapping[str, str]
    archives: Path


class Workspace:
    """A copy of what the module is made of, where terraform may write what it likes."""

    def __init__(self, directory: Path, providers: Providers) -> None:
        """Copies the module from the repository into an empty directory."""
        self.directory = directory
        self._providers = providers
        self._ready: set[str] = set()
        for name in ("main.py", "requirements.txt"):
            shutil.copy(REPOSITORY / name, directory / name)
        caches = shutil.ignore_patterns("__pycache__", ".terraform*", "build", "*.tfstate*")
        for name in ("backstop", "terraform"):
            shutil.copytree(REPOSITORY / name, directory / name, ignore=caches)

    def without_code(self) -> Workspace:
        """Empties the function's files: terraform takes as long to hash what is in them as for the rest."""
        for path in (self.directory / "backstop").rglob("*.py"):
            path.write_text("")
        return self

    def copied(self, directory: Path) -> Workspace:
        """A copy of this copy, which is as ready as this one; they share each file until it is replaced."""
        leave = shutil.ignore_patterns("plan-*", "*.tfvars.json")
        shutil.copytree(self.directory, directory, ignore=leave, copy_function=os.link)
        again = copy.copy(self)
        again.directory = directory
        return again

    def run(self, *command: str, below: str = "terraform") -> subprocess.CompletedProcess[str]:
        """Runs terraform in a directory of the copy, which is initialised first."""
        self.ready(below)
        return self._run(*command, below=below)

    def ready(self, below: str) -> None:
        """Initialises a directory, once."""
        if below not in self._ready:
            self._ready.add(below)
            done = self._run("init", "-backend=false", "-no-color", below=below)
            assert done.returncode == 0, done.stdout + done.stderr

    def _run(self, *command: str, below: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_TERRAFORM, f"-chdir={self.directory / below}", *command],
            env={**os.environ, **self._providers.environment, **RUNTIME},
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )

    def plan(self, below: str = "terraform", variables: Mapping[str, Json] | None = None) -> Plan:
        """Plans a directory of the copy.

        Raises:
            AssertionError: Terraform refused to, with its own words.
        """
        name = f"plan-{next(_numbers)}"
        done = self.try_plan(below, variables, f"-out={name}")
        assert done.returncode == 0, done.stdout + done.stderr
        shown = self.run("show", "-json", name, below=below)
        assert shown.returncode == 0, shown.stderr
        return Plan(shown.stdout, self._providers.archives)

    def try_plan(
        self, below: str, variables: Mapping[str, Json] | None = None, *options: str
    ) -> subprocess.CompletedProcess[str]:
        """Plans a directory of the copy, or learns why not."""
        arguments = ["plan", "-input=false", "-lock=false", "-refresh=false", "-no-color", *options]
        if variables is not None:
            file = self.directory / below / f"variables-{next(_numbers)}.tfvars.json"
            file.write_text(json.dumps(variables))
            arguments.append(f"-var-file={file}")
        return self.run(*arguments, below=below)
