"""Only mains silence libraries; imports and loads change nothing global."""

import json
import logging
import pathlib
import subprocess
import sys
import warnings

import pytest

from accfm.base import quiet
from accfm.train.checkpoints import folder
from tests.train.checkpoints import first_format

ROOT = pathlib.Path(__file__).parents[2]

# Run in a new process. What libraries change as they are imported is theirs.
SCRIPT = """
import json, logging, os, sys, warnings
import jax, flax, optax, orbax.checkpoint, grain, scipy.signal, scipy.stats
import absl.app, ml_collections, sklearn.linear_model, sklearn.preprocessing
import tensorflow_datasets, tensorboardX, matplotlib.pyplot, pyarrow.parquet
import array_record.python.array_record_module

def snapshot():
  loggers = {"root": logging.getLogger(), **logging.root.manager.loggerDict}
  return {
      "loggers": {
          name: [str(x) for x in (*log.filters, *log.handlers, log.level)]
          for name, log in loggers.items()
          if isinstance(log, logging.Logger)
          and (log.filters or log.handlers or log.level)
      },
      "warnings": [str(x) for x in warnings.filters],
      "hooks": [repr(getattr(sys, name)) for name in (
          "unraisablehook", "excepthook", "displayhook")],
      "environment": dict(os.environ),
      "jax": {name: str(x) for name, x in jax.config.values.items()},
      "paths": sys.path,
  }

before = snapshot()
import MODULES
imported = snapshot()
assert accfm.load(sys.argv[1]).signal == "acc"
for after in (imported, snapshot()):
  for name in before:
    assert before[name] == after[name], (name, before[name], after[name])
"""

# Neither finding a checkpoint nor reading its record needs Orbax.
LAZY = """
import sys
from accfm.train import checkpoints
from accfm.train.checkpoints import follow, reader, saver
path = checkpoints.find(sys.argv[1])
checkpoints.verify(path)
checkpoints.read_meta(path)
assert "orbax.checkpoint" not in sys.modules
checkpoints.load(sys.argv[1])
assert "orbax.checkpoint" in sys.modules
"""


def modules():
  """Names of all of accfm's modules."""
  for top, package in (("accfm", "accfm"), ("configs", "accfm.configs")):
    for path in sorted((ROOT / top).rglob("*.py")):
      parts = path.relative_to(ROOT / top).with_suffix("").parts
      yield ".".join((package, *parts)).removesuffix(".__init__")


def run(script, *args):
  done = subprocess.run(
      [sys.executable, "-c", script, *map(str, args)], cwd=ROOT, text=True,
      capture_output=True, timeout=300,
  )
  assert done.returncode == 0, done.stderr
  assert done.stderr == ""


def test_importing_all_and_loading_change_nothing(tmp_path):
  names = sorted(set(modules()))
  assert "accfm.train.checkpoints.saver" in names and len(names) > 100
  workdir = first_format.unpack(tmp_path)
  run(SCRIPT.replace("MODULES", ", ".join(names)), workdir)


def test_orbax_is_imported_when_arrays_are_read(tmp_path):
  workdir = first_format.unpack(tmp_path)
  step = workdir / "checkpoints" / "4"
  # As today's code writes it.
  meta = json.loads((step / "meta" / "metadata").read_text())
  (step / "checksums.json").unlink()
  folder.write(step, json.dumps(meta))
  run(LAZY, workdir)


@pytest.fixture
def main():
  """As in a main; all is put back."""
  hook = sys.unraisablehook
  level = logging.getLogger("absl").level
  with warnings.catch_warnings():
    quiet.quiet_libraries()
    quiet.quiet_libraries()  # no matter how often
    yield hook
  sys.unraisablehook = hook
  logging.getLogger("absl").setLevel(level)
  for name in ("absl", "asyncio"):
    log = logging.getLogger(name)
    for found in list(log.filters):
      if found.__module__ == quiet.__name__:
        log.removeFilter(found)


@pytest.mark.parametrize("file, said", [
    ("/x/orbax/checkpoint/_src/serialization.py", False), ("/x/ours.py", True),
])
def test_a_lost_future_of_orbax_is_not_told(main, caplog, file, said):
  """Futures of a failed save: the error itself is told in one line."""
  def fail():
    raise ValueError("no room")

  fail.__code__ = fail.__code__.replace(co_filename=file)
  try:
    fail()
  except ValueError as error:
    logging.getLogger("asyncio").error(
        "Future exception was never retrieved",
        exc_info=(type(error), error, error.__traceback__),
    )
  assert ("never retrieved" in caplog.text) == said


@pytest.mark.parametrize("error, said", [
    (RuntimeError("Event loop is closed"), False),
    (RuntimeError("another"), True), (ValueError("Event loop is closed"), True),
])
def test_threads_that_outlive_a_failed_save_are_not_told(main, error, said):
  told = []
  sys.unraisablehook.func(told.append, type("Unraisable", (), {
      "exc_type": type(error), "exc_value": error,
  }))
  assert bool(told) == said
  assert sys.unraisablehook.args == (main,)  # wrapped once
