"""Ways to have accfm: a clone, a wheel, a source archive, an editable install.

Each is made from a copy of the sources. What accfm depends on comes from this
Python's packages by PYTHONPATH, under which editable installs do not count.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

ROOT = pathlib.Path(__file__).parents[1]
SITE = sysconfig.get_paths()["purelib"]
FILES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE",
         "CHANGELOG.md")


def run(command, folder, path=(), **env):
  """Runs a command in a folder; its output, or an AssertionError with it."""
  done = subprocess.run(
      [str(word) for word in command], cwd=folder, capture_output=True,
      text=True, check=False, timeout=1800, env={
          **os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)),
          "PYTHONDONTWRITEBYTECODE": "1", **env,
      },
  )
  assert done.returncode == 0, done.stdout + done.stderr
  return done.stdout


def copy_sources(folder):
  """A clone's files that make a package, and no build left in them."""
  folder.mkdir()
  for name in FILES:
    shutil.copy(ROOT / name, folder / name)
  for name in ("accfm", "configs"):
    shutil.copytree(
        ROOT / name, folder / name,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
  return folder


def build(sources, out):
  """(wheel, source archive) by the standard front end."""
  run([sys.executable, "-m", "build", "--no-isolation", "--outdir", out,
       sources], sources, [SITE])
  (wheel,), (archive,) = out.glob("*.whl"), out.glob("*.tar.gz")
  return wheel, archive


def into_folder(package, target):
  """Installs a wheel or source archive into a folder for PYTHONPATH."""
  run([sys.executable, "-m", "pip", "install", "-q", "--no-deps",
       "--no-build-isolation", "--no-index", "--target", target, package],
      target.parent, [SITE])
  return target


def editable(sources, target):
  """The Python of a new environment with an editable install of sources."""
  run([sys.executable, "-m", "venv", "--without-pip", target], target.parent)
  python = target / "bin" / "python"
  run([sys.executable, "-m", "pip", "--python", python, "install", "-q",
       "--no-deps", "--no-build-isolation", "--no-index", "-e", sources],
      target.parent, [SITE])
  # After the environment's own packages, so that its accfm is the one found.
  (packages,) = target.glob("lib/python*/site-packages")
  (packages / "others.pth").write_text(f"{SITE}\n")
  return python
