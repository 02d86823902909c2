"""`python -m accfm COMMAND` is `accfm COMMAND`."""

from accfm.cli import main

if __name__ == "__main__":
  main()
