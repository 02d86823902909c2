"""A wheel in a new environment, from an empty folder: the whole path.

Prepare, pre-train, distil, evaluate, embed; on each Python of the machine that
can run accfm. Packages come from the index that pip knows.
"""

import pathlib
import shutil
import subprocess
import sys

import pytest

from tests import installs

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
COMMANDS = """
prepare --config=prepare:simulated,tiny --data_dir=data
pretrain --config=ppg_contrastive:tiny --workdir=teacher
distill --config=acc_distill:tiny --config.teacher=teacher --workdir=student
evaluate --config=evaluate:tiny --checkpoint=student --workdir=results
""".strip().splitlines()
EMBED = """
import numpy as np, accfm
encoder = accfm.load("student")
x = np.ones((2 * 3840, 3)) / 3**0.5
print(accfm.__version__, encoder.embed(x, rate_hz=64, unit="g").shape)
"""


def find_python(version):
  """An interpreter of a version, or None: on PATH, else where pyenv has it."""
  found = [shutil.which(f"python{version}") or ""]
  home = pathlib.Path.home() / ".pyenv" / "versions"
  found += [str(p) for p in sorted(home.glob(f"{version}.*/bin/python"))]
  if sys.version_info[:2] == tuple(map(int, version.split("."))):
    found.insert(0, sys.executable)
  for python in filter(None, found):
    said = subprocess.run(
        [python, "-c", "import sys, venv; print(sys.version[:4])"],
        capture_output=True, text=True, check=False,
    )
    if said.stdout.strip() == version:
      return python
  return None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
  folder = tmp_path_factory.mktemp("wheel")
  return installs.build(
      installs.copy_sources(folder / "accfm"), folder / "dist"
  )[0]


@pytest.mark.full
@pytest.mark.parametrize("version", VERSIONS)
def test_the_whole_path(wheel, tmp_path, version):
  python = find_python(version)
  if python is None:
    pytest.skip(f"no Python {version} on this machine")
  installs.run([python, "-m", "venv", tmp_path / "venv"], tmp_path)
  python = tmp_path / "venv" / "bin" / "python"
  installs.run(
      [python, "-m", "pip", "install", "-q", "-c",
       installs.ROOT / "requirements.lock", f"{wheel}[train]"], tmp_path,
  )
  work = tmp_path / "work"
  work.mkdir()
  for line in COMMANDS:
    installs.run([python.with_name("accfm"), *line.split()], work)
  assert (work / "results" / "report.html").stat().st_size > 10_000
  said = installs.run([python, "-c", EMBED], work)
  assert said.split() and said.strip().endswith("(2, 16)")
