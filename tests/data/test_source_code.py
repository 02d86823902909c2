"""The hash of a source covers the code that it is made of, and no other."""

import hashlib
import os
import pathlib
from types import ModuleType

import pytest

from accfm.data import source_code
from accfm.data import sources as sources_lib
from accfm.data.sources import e4, simulated


def write(folder, texts):
  for name, text in texts.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def found(folder, package=""):
  paths = source_code.find_files(str(folder / "watch.py"), package)
  return [os.path.relpath(path, folder) for path in paths]


HELPERS = {
    "units.py": "", "deep/__init__.py": "", "deep/a.py": "from . import b",
    "deep/b.py": "import zlib", "other.py": "", "numpy_.py": "",
}


@pytest.mark.parametrize("text, want", [
    ("import numpy as np", []),
    ("import units", ["units.py"]),
    ("def f():\n  from units import x", ["units.py"]),
    ("from deep import a",
     ["deep/__init__.py", "deep/a.py", "deep/b.py"]),
    ("import deep.b as c", ["deep/__init__.py", "deep/b.py"]),
    ("from deep.b import c", ["deep/__init__.py", "deep/b.py"]),
    ("import watch", []),
    ("from . import units", ["units.py"]),
    ("from .units import x", ["units.py"]),
    ("from .. import other", []),
    ("not python", []),
])
def test_what_a_file_imports_from_its_folder(tmp_path, text, want):
  write(tmp_path, HELPERS | {"watch.py": text})
  assert found(tmp_path) == sorted([*want, "watch.py"])


def test_a_module_of_a_package(tmp_path):
  write(tmp_path, HELPERS | {
      "watch.py": "import mine.units\nfrom mine import deep\nimport other\n"
  })
  assert found(tmp_path, "mine") == ["deep/__init__.py", "units.py", "watch.py"]


def test_the_sources_of_accfm():
  folder = pathlib.Path(e4.__file__).parent

  def names(module):
    paths = source_code.find_files(module.__file__, "accfm.data.sources")
    return {str(pathlib.Path(p).relative_to(folder)) for p in paths}

  assert {"e4.py", "e4_csv.py"} <= names(e4)
  assert {"simulated.py", "simulated_people.py"} <= names(simulated)
  assert "__init__.py" not in names(e4)
  digests = {sources_lib.digest(s) for s in sources_lib.SOURCES.values()}
  assert len(digests) == len(sources_lib.SOURCES) and "" not in digests


def test_a_file_alone_has_the_hash_of_its_text(tmp_path):
  """As older data sets keep it."""
  write(tmp_path, {"watch.py": "x = 1\n"})
  module = ModuleType("watch")
  module.__file__ = str(tmp_path / "watch.py")
  want = hashlib.sha256(b"x = 1\n").hexdigest()[:16]
  assert source_code.digest(module) == want
  module.__file__ = str(tmp_path / "gone.py")
  assert source_code.digest(module) == ""
