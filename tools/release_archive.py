"""Writes the archive that the function is built from: the same bytes on every machine, for `source_archive`.

`python -m tools.release_archive` writes dist/backstop-VERSION.zip and prints its SHA-256.
"""

from __future__ import annotations

import hashlib
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can say; a real time would make every archive another."""


def files() -> list[Path]:
    """What the function runs on, as terraform/source.tf lists it."""
    return sorted([ROOT / "main.py", ROOT / "requirements.txt", *(ROOT / "backstop").rglob("*.py")])


def write(directory: Path) -> Path:
    """Writes the archive into a directory, and returns its path."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    path = directory / f"backstop-{version}.zip"
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in files():
            entry = zipfile.ZipInfo(file.relative_to(ROOT).as_posix(), EPOCH)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, file.read_bytes())
    return path


if __name__ == "__main__":
    written = write(ROOT / "dist")
    print(f"{hashlib.sha256(written.read_bytes()).hexdigest()}  {written.relative_to(ROOT)}")
