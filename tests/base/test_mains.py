"""A main in a process of its own: one error line, its help."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def started(*arguments):
  return subprocess.run(
      [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True,
      text=True, timeout=300, check=False,
      env={**os.environ, "PYTHONPATH": str(ROOT)},
  )


def test_the_command_prints_one_line_alone():
  done = started(
      "accfm.evaluate", "--config.sed=3", "--checkpoint=c", "--workdir=w"
  )
  assert done.returncode == 2 and done.stdout == ""
  assert done.stderr == (
      "error: config field 'sed' is unknown; did you mean 'seed'?\n"
  )


def test_help_comes_before_any_check():
  done = started("accfm.distill", "--help", "--wrokdir=3")
  assert done.returncode == 0 and done.stderr == ""
  assert "--workdir" in done.stdout and "temperature = 0.04" in done.stdout
