"""Runs one command with the stand-in: `python -m tests.terraform.standin terraform -chdir=terraform validate`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.terraform.standin.server import serving

if __name__ == "__main__":
    with serving(Path.cwd()) as environment:
        sys.exit(subprocess.run(sys.argv[1:], env={**os.environ, **environment}, check=False).returncode)
