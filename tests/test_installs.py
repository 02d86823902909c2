"""Configs import alike from a wheel, an archive, an edited and a bare clone."""

import sys

import pytest

from tests import installs

MINE = """
from accfm.configs import acc_distill


def get_config(arg=None):
  c = acc_distill.get_config(arg).unlock()
  c.seed = 77  # mine
  return c.lock()
"""
# Several commands in one process: each would import JAX again.
USE = """
import accfm.configs.common
from accfm import cli
print(accfm.configs.common.__file__)
for place in ([], ["acc_distill:tiny"], ["./mine.py:tiny"]):
  print("==")
  cli.main(["config", *place])
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
  return installs.copy_sources(tmp_path_factory.mktemp("clone") / "accfm")


@pytest.fixture(scope="module")
def packages(sources, tmp_path_factory):
  return installs.build(sources, tmp_path_factory.mktemp("dist"))


def works(python, path, folder, home):
  """Uses accfm in a folder; the configs it finds lie in `home`."""
  (folder / "mine.py").write_text(MINE)
  # A file of the current folder is never what a name means.
  (folder / "acc_distill.py").write_text("raise SystemExit('the wrong one')\n")
  said = installs.run([python, "-c", USE], folder, path)
  where, listed, by_name, by_path = said.split("==\n")
  assert str(home) in where
  assert "acc_distill" in listed.splitlines()
  assert "batch_size = 8" in by_name and "temperature = 0.04" in by_name
  assert "seed = 77" in by_path and "mine" in by_path


def test_wheel(packages, tmp_path):
  target = installs.into_folder(packages[0], tmp_path / "target")
  (tmp_path / "empty").mkdir()
  works(sys.executable, [target, installs.SITE], tmp_path / "empty", target)
  assert (target / "accfm" / "py.typed").exists()


@pytest.mark.full
def test_source_archive(packages, tmp_path):
  target = installs.into_folder(packages[1], tmp_path / "target")
  (tmp_path / "empty").mkdir()
  works(sys.executable, [target, installs.SITE], tmp_path / "empty", target)


def test_editable_install(sources, tmp_path):
  python = installs.editable(sources, tmp_path / "venv")
  (tmp_path / "empty").mkdir()
  works(python, [], tmp_path / "empty", sources / "configs")


@pytest.mark.full
def test_bare_clone(sources):
  """Nothing is installed: the clone is the current folder."""
  works(sys.executable, [installs.SITE], sources, sources / "configs")
