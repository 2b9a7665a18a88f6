"""`python -m faultgym` is the `faultgym` command."""

from faultgym.cli.main import main

if __name__ == "__main__":
    main()
