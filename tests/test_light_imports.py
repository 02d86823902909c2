"""What is not of data or training needs only what a plain install brings.

`pip install accfm` brings JAX, flax, NumPy, SciPy, ml-collections and
absl-py. Each test imports in a process of its own, where the packages of
every extra, and what they bring, are as good as absent.
"""

import pathlib
import subprocess
import sys

import pytest

from accfm.base import extras

ROOT = pathlib.Path(__file__).parents[1]
ABSENT = (
    *extras.EXTRAS, "neurokit2", "pandas", "tensorflow", "torch", "joblib",
    "pywt", "PIL", "requests", "tqdm", "dill", "IPython", "pytest",
)

HIDE = """
import sys
hidden = set(sys.argv[1:])

class Absent:
  def find_spec(self, name, path=None, target=None):
    if name.partition(".")[0] in hidden:
      raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""

IMPORT_ALL = HIDE + """
import importlib, pkgutil
package = importlib.import_module(sys.argv[1])
names = [m.name for m in pkgutil.walk_packages(
    package.__path__, package.__name__ + ".")]
for name in names:
  importlib.import_module(name)
print(len(names))
"""

USE = HIDE + """
import jax, jax.numpy as jnp
from accfm.models import build
from accfm.signals import beats, feed, labels, windows
encoder = build.build_encoder("vit_tiny")
x = jnp.ones((2, 64, 3))
variables = encoder.init(jax.random.key(0), x)
print(encoder.apply(variables, feed.zscore(x)).shape)
"""


def run(code, *args):
  return subprocess.run(
      [sys.executable, "-c", code, *args], cwd=ROOT, capture_output=True,
      text=True, check=False,
  )


@pytest.mark.parametrize("package", [
    "accfm.base", "accfm.signals", "accfm.models", "accfm.losses",
    "accfm.evals.stats", "accfm.evals.baselines",
])
def test_nothing_of_an_extra_is_imported(package):
  done = run(IMPORT_ALL, package, *ABSENT)
  assert done.returncode == 0, done.stderr
  files = (ROOT / package.replace(".", "/")).rglob("*.py")
  assert int(done.stdout) == sum(1 for _ in files) - 1  # without __init__


@pytest.mark.parametrize("module", [
    "embedding.forward", "embedding.projection", "files.privacy",
    "probes.fits", "probes.own_labels", "retrieval.nearest", "retrieval.pools",
])
def test_nor_by_the_numbers_of_an_evaluation(module):
  code = f"{HIDE}\nimport accfm.evals.{module}"
  done = run(code, *ABSENT)
  assert done.returncode == 0, done.stderr


def test_the_check_sees_what_is_imported():
  done = run(IMPORT_ALL, "accfm.losses", "jax")
  assert done.returncode == 1 and "No module named 'jax'" in done.stderr


def test_an_encoder_runs_without_the_extras():
  done = run(USE, *ABSENT)
  assert done.returncode == 0, done.stderr
  assert done.stdout == "(2, 16)\n"
