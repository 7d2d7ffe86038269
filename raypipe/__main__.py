"""`python -m raypipe` is `raypipe`."""

from raypipe.cli import program

if __name__ == "__main__":
    raise SystemExit(program())
