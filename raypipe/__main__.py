"""`python -m raypipe` is `raypipe`."""

from raypipe.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
