"""`python -m backstop_cli`, the same as `backstop`."""

from __future__ import annotations

import sys

from backstop_cli.app import main

if __name__ == "__main__":
    sys.exit(main())
