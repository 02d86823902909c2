"""What every test gets: eight simulated devices, strict ranks, fixtures.

Options: `--full` runs the tests marked `full`, `--update-golden` rewrites
the texts in tests/golden/, `--summary=FILE` writes the counts to a file.
"""

import atexit
import os
import pathlib
import platform
import shutil
import signal
import tempfile

# A shell's background command ignores Ctrl-C, and so would all that tests
# start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
  signal.signal(signal.SIGINT, signal.default_int_handler)

# Before jax is imported: tests, and the mains they start, run on the CPU
# wherever they are. They compile much and compute little; what one process
# has compiled the others take from a folder that lives as long as the run.
os.environ["JAX_PLATFORMS"] = "cpu"
# Few optimisations compile faster; tests/test_optimised.py runs some with all.
# XLA's newer way to fuse loops on a CPU costs two fifths of the tests' time.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = (
    "false" if "ACCFM_TEST_OPTIMISED" in os.environ else "true"
)
if "ACCFM_TEST_OPTIMISED" not in os.environ:
  os.environ["XLA_FLAGS"] = (
      os.environ.get("XLA_FLAGS", "")
      + " --xla_cpu_use_fusion_emitters=false"
  ).strip()
if "ACCFM_TEST_CACHE" not in os.environ:
  os.environ["ACCFM_TEST_CACHE"] = tempfile.mkdtemp(prefix="accfm-jit-")
  atexit.register(shutil.rmtree, os.environ["ACCFM_TEST_CACHE"], True)
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ["ACCFM_TEST_CACHE"]
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax
import numpy as np
import pytest

from accfm.version import __version__

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

GOLDEN = pathlib.Path(__file__).parent / "golden"


def pytest_addoption(parser):
  parser.addoption("--full", action="store_true", help="run slow tests too")
  parser.addoption("--update-golden", action="store_true",
                   help="rewrite tests/golden/ instead of comparing")
  parser.addoption("--summary", metavar="FILE",
                   help="write counts and skipped tests to FILE")


def pytest_collection_modifyitems(config, items):
  if not config.getoption("--full"):
    skip = pytest.mark.skip(reason="slow: run by bash check.sh --full")
    for item in items:
      if item.get_closest_marker("full"):
        item.add_marker(skip)


def pytest_terminal_summary(terminalreporter, config):
  path = config.getoption("--summary")
  if path:
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_summary(terminalreporter.stats))


def _summary(stats):
  """The result of a run as text without dates or times."""
  lines = [
      f"accfm {__version__}, Python {platform.python_version()}, "
      f"jax {jax.__version__}, numpy {np.__version__}",
      ", ".join(
          f"{len(stats.get(outcome, ()))} {outcome}"
          for outcome in ("passed", "failed", "error", "skipped")
      ),
  ]
  for outcome in ("failed", "error"):
    lines += sorted(
        f"{outcome} {report.nodeid}" for report in stats.get(outcome, ())
    )
  lines += sorted(
      f"skipped {report.nodeid}: "
      + report.longrepr[2].removeprefix("Skipped: ")
      for report in stats.get("skipped", ())
  )
  return "\n".join(lines) + "\n"


@pytest.fixture
def golden(request):
  """`golden(name, text)` compares text with tests/golden/<name>.txt."""

  def compare(name, text):
    path = GOLDEN / f"{name}.txt"
    text = text.rstrip("\n") + "\n"
    if request.config.getoption("--update-golden"):
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(text)
    assert path.exists(), f"no {path}; make it with pytest --update-golden"
    assert text == path.read_text(), (
        f"{path.name} differs; if that is meant, run pytest --update-golden "
        "and commit it"
    )

  return compare


@pytest.fixture(scope="session")
def real_data():
  """The folder of real recordings: stress_predict/, ieee_spc_2015/."""
  folder = os.environ.get("ACCFM_REAL_DATA")
  if not folder:
    pytest.skip("no real recordings: $ACCFM_REAL_DATA is not set")
  folder = pathlib.Path(folder)
  assert folder.is_dir(), f"$ACCFM_REAL_DATA is {folder}, want a folder"
  return folder


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
  """data_dir with "simulated_easy": 12 people, 8 s windows, split 8/2/2."""
  from accfm import prepare
  from accfm.configs import prepare as prepare_config

  config = prepare_config.get_config(
      "simulated,participants=12,minutes=1,split=8/2/2"
  )
  config.window_sec = config.hop_sec = 8.0
  config.labels.min_pairs = 4
  config.workers = 1
  folder = str(tmp_path_factory.mktemp("simulated"))
  prepare.run(config, "", folder)
  return folder
