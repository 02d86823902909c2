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
WHERE = "import accfm.configs.common as c; print(c.__file__)"


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
  assert str(home) in installs.run([python, "-c", WHERE], folder, path)
  accfm = [python, "-m", "accfm"]
  listed = installs.run([*accfm, "config"], folder, path)
  assert "acc_distill" in listed.splitlines()
  by_name = installs.run([*accfm, "config", "acc_distill:tiny"], folder, path)
  assert "batch_size = 8" in by_name and "temperature = 0.04" in by_name
  by_path = installs.run([*accfm, "config", "./mine.py:tiny"], folder, path)
  assert "seed = 77" in by_path and "mine" in by_path
  said = installs.run([*accfm, "distill", "--help"], folder, path)
  assert "--workdir" in said


def test_wheel(packages, tmp_path):
  target = installs.into_folder(packages[0], tmp_path / "target")
  (tmp_path / "empty").mkdir()
  works(sys.executable, [target, installs.SITE], tmp_path / "empty", target)
  assert (target / "accfm" / "py.typed").exists()


def test_source_archive(packages, tmp_path):
  target = installs.into_folder(packages[1], tmp_path / "target")
  (tmp_path / "empty").mkdir()
  works(sys.executable, [target, installs.SITE], tmp_path / "empty", target)


def test_editable_install(sources, tmp_path):
  python = installs.editable(sources, tmp_path / "venv")
  (tmp_path / "empty").mkdir()
  works(python, [], tmp_path / "empty", sources / "configs")


def test_bare_clone(sources):
  """Nothing is installed: the clone is the current folder."""
  works(sys.executable, [installs.SITE], sources, sources / "configs")
