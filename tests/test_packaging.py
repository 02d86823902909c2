"""What is installed: one version, a lock that fits, no TensorFlow.

The set-up scripts run here against a stand-in for Python, which only notes
what it was asked to do.
"""

import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import accfm
from accfm.base import extras

ROOT = pathlib.Path(__file__).parents[1]


def project():
  """The [project] table of pyproject.toml."""
  return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def extra(name):
  """The requirements of an extra, those of extras that it names among them."""
  out = []
  for text in project()["optional-dependencies"][name]:
    wanted = Requirement(text)
    if wanted.name == "accfm":
      for other in sorted(wanted.extras):
        out += extra(other)
    else:
      out.append(text)
  return out


def locked():
  """Canonical name -> exact version in requirements.lock."""
  out = {}
  for line in (ROOT / "requirements.lock").read_text().splitlines():
    if line and not line.startswith("#"):
      requirement = Requirement(line)
      (only,) = requirement.specifier
      assert only.operator == "==", line
      assert "*" not in only.version, line
      if requirement.marker is None or requirement.marker.evaluate():
        out[canonicalize_name(requirement.name)] = only.version
  return out


def unmet(requirements, versions):
  """The requirements that `versions` lacks or does not satisfy."""
  out = []
  for text in requirements:
    want = Requirement(text)
    if want.marker and not want.marker.evaluate({"extra": ""}):
      continue
    have = versions.get(canonicalize_name(want.name))
    if have is None or not want.specifier.contains(have, prereleases=True):
      out.append(f"{text}: the lock has {have}")
  return out


def test_version_is_written_in_one_place():
  done = subprocess.run(
      [sys.executable, "setup.py", "--version"], cwd=ROOT,
      capture_output=True, text=True, check=True,
  )
  assert done.stdout.strip().splitlines()[-1] == accfm.__version__
  paths = [ROOT / "setup.py", ROOT / "pyproject.toml"]
  paths += sorted((ROOT / "accfm").rglob("*.py"))
  holders = [
      path.name for path in paths
      if re.search(rf"['\"]{re.escape(accfm.__version__)}['\"]",
                   path.read_text())
  ]
  assert holders == ["version.py"]


def test_changelog_starts_with_this_version():
  headings = re.findall(
      r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
  )
  assert headings[0] == accfm.__version__


def test_lock_satisfies_setup():
  assert not unmet(project()["dependencies"] + extra("dev"), locked())


def test_using_a_model_needs_little():
  """What trains, and what draws reports, comes with extras alone."""
  names = {Requirement(text).name for text in project()["dependencies"]}
  assert names == {
      "jax", "flax", "numpy", "scipy", "ml-collections", "absl-py",
      "safetensors"
  }


def test_every_extra_that_a_message_names_is_there():
  for module, name in extras.EXTRAS.items():
    assert name in project()["optional-dependencies"], module


def test_lock_is_closed():
  """What the locked packages need is locked too, at a fitting version."""
  versions = locked()
  problems = []
  for name, version in versions.items():
    try:
      package = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
      continue
    if package.version == version:
      problems += unmet(package.requires or (), versions)
  assert not problems


def test_unmet_sees_what_is_wrong():
  assert not unmet(["a>=1", "b; extra == 'x'"], {"a": "1.2"})
  assert unmet(["a>=2", "c", "a<1.2"], {"a": "1.2"}) == [
      "a>=2: the lock has 1.2", "c: the lock has None",
      "a<1.2: the lock has 1.2",
  ]


def test_no_package_source_is_named():
  """Where packages come from is the user's pip configuration."""
  lines = (ROOT / "requirements.lock").read_text().splitlines()
  assert not [line for line in lines if line.startswith("-") or "@" in line]


@pytest.fixture
def trapped(tmp_path):
  """An environment in which importing TensorFlow ends the process."""
  trap = tmp_path / "tensorflow"
  trap.mkdir()
  (trap / "__init__.py").write_text(
      "import os, traceback\n"
      "traceback.print_stack()\n"
      "os._exit(42)\n"
  )
  return os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}


def test_nothing_imports_tensorflow(trapped):
  """Every module, mains too, loads in one process, none with TensorFlow."""
  code = (
      "import importlib, pkgutil, sys, accfm\n"
      "for m in pkgutil.walk_packages(accfm.__path__, 'accfm.'):\n"
      "  importlib.import_module(m.name)\n"
      "print(len([m for m in sys.modules if m.startswith('accfm.')]))\n"
  )
  done = subprocess.run(
      [sys.executable, "-c", code], env=trapped, cwd=ROOT,
      capture_output=True, text=True, check=False,
  )
  assert done.returncode == 0, done.stderr
  assert int(done.stdout) >= len(list((ROOT / "accfm").rglob("*.py"))) - 1


def test_the_trap_works(trapped):
  done = subprocess.run(
      [sys.executable, "-c", "import tensorflow.io"], env=trapped,
      capture_output=True, check=False,
  )
  assert done.returncode == 42


@pytest.mark.parametrize("script", sorted(
    str(path.relative_to(ROOT)) for path in
    [ROOT / "check.sh", ROOT / ".ci/run", *(ROOT / "launch").glob("*.sh")]
))
def test_scripts_parse_and_stop_on_errors(script):
  subprocess.run(["bash", "-n", script], cwd=ROOT, check=True)
  text = (ROOT / script).read_text()
  if not text.startswith("# Sourced by launch/"):
    assert "\nset -euo pipefail\n" in text


FAKE_PYTHON = r"""#!/bin/bash
# A stand-in for Python: notes `-m venv`, `-m pip` and `-m uv`, runs the rest.
case "$1 $2" in
  "-m venv")
    echo "venv $3" >> log
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python ;;
  "-m pip")
    if [ "$3" = install ]; then
      echo "install ${*: -1}" >> log
      if [ -e break ]; then exit 1; fi
    fi ;;
  "-m uv")
    echo "uv ${*: -1}" >> log
    if [ -e break ] || [ -e no_uv ]; then exit 1; fi ;;
  *) exec REAL "$@" ;;
esac
"""


@pytest.fixture
def bare(tmp_path):
  """A copy of the set-up files, and `set_up()` with a stand-in Python."""
  root = tmp_path / "repository"
  (root / "launch").mkdir(parents=True)
  for name in (
      "launch/venv.sh", "requirements.lock", "setup.py", "pyproject.toml"
  ):
    shutil.copy(ROOT / name, root / name)
  bin_dir = tmp_path / "bin"
  bin_dir.mkdir()
  for tool in ("bash", "mkdir", "cp", "rm", "cat"):
    (bin_dir / tool).symlink_to(shutil.which(tool))
  fake = bin_dir / "python3"
  fake.write_text(FAKE_PYTHON.replace("REAL", sys.executable))
  fake.chmod(0o755)

  def set_up(**env):
    log = root / "log"
    log.unlink(missing_ok=True)
    done = subprocess.run(
        [bin_dir / "bash", "-euc", '. launch/venv.sh; echo "got $PYTHON"'],
        cwd=root, env={"PATH": str(bin_dir)} | env,
        capture_output=True, text=True, check=False,
    )
    return done, log.read_text().split("\n")[:-1] if log.exists() else []

  set_up.root = root
  set_up.python = fake
  return set_up


INSTALLS = ["install uv", "uv requirements.lock", "install ."]


def test_set_up_installs_once(bare):
  done, log = bare()
  assert done.returncode == 0, done.stderr
  assert log == ["venv .venv", *INSTALLS]
  assert done.stdout.endswith(f"got {bare.root}/.venv/bin/python\n")
  done, log = bare()
  assert (done.returncode, log) == (0, [])
  assert done.stdout == f"got {bare.root}/.venv/bin/python\n"


@pytest.mark.parametrize("name", ["requirements.lock", "setup.py"])
def test_set_up_installs_again_after_a_change(bare, name):
  bare()
  with open(bare.root / name, "a") as file:
    file.write("# changed\n")
  assert bare()[1] == INSTALLS
  assert bare()[1] == []


def test_an_interrupted_set_up_is_redone(bare):
  (bare.root / "break").touch()
  done, log = bare()
  assert done.returncode != 0
  assert log == ["venv .venv", "install uv", "install requirements.lock"]
  (bare.root / "break").unlink()
  assert bare()[1] == INSTALLS


def test_where_uv_cannot_install_pip_does(bare):
  (bare.root / "no_uv").touch()
  done, log = bare()
  assert done.returncode == 0, done.stderr
  assert log == [
      "venv .venv", *INSTALLS[:2], "install requirements.lock", INSTALLS[2]]


def test_an_old_python_is_refused_in_one_line(bare):
  bare.python.write_text(
      "#!/bin/bash\nif [ $1 = --version ]; then echo Python 3.9.18; "
      "else exit 1; fi\n"
  )
  done, log = bare()
  assert done.returncode != 0 and log == []
  assert done.stderr.startswith("error: no Python 3.11 or newer on PATH")
  assert "3.9.18" in done.stderr and done.stderr.count("\n") == 1


def test_an_interpreter_of_ones_own_is_left_alone(bare):
  done, log = bare(ACCFM_PYTHON="/opt/mine/python")
  assert (done.stdout, log) == ("got /opt/mine/python\n", [])
