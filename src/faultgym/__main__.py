"""`python -m faultgym` is the `faultgym` command."""

import sys

from faultgym.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
