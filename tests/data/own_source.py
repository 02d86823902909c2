"""A plug-in source for tests: recordings as `P0.npy`, or folders with one."""

import pathlib

import numpy as np

from tests.data import fake_source

FILE = "own.py"
HELPER = "units.py"
CODE = '''
"""Reads `P0.npy` or `P0/values.npy`, [N, 4]: three axes and a PPG."""

import pathlib

import numpy as np

from accfm.base.errors import InputError
from accfm.signals.recording import Recording, Signal


def list_recordings(source_dir, cfg):
  root = pathlib.Path(source_dir)
  return sorted(
      [p.stem for p in root.glob("P*.npy")]
      + [p.name for p in root.glob("P*") if p.is_dir()]
  )


def read_recording(source_dir, name, cfg):
  from units import SCALE  # a module beside this file

  path = pathlib.Path(source_dir, name)
  path = path / "values.npy" if path.is_dir() else path.with_suffix(".npy")
  try:
    x = SCALE * np.load(path)
  except (ValueError, EOFError) as error:
    raise InputError(f"{path}: {error}") from error
  return Recording(name.replace(" ", "_"), "s", {
      "acc": Signal(x[:, :3], 32.0, "g", 1.6e9),
      "ppg": Signal(x[:, 3:], 32.0, "au", 1.6e9),
  })
'''


def write_code(folder: pathlib.Path) -> None:
  """Writes the plug-in and the module that it imports."""
  (folder / FILE).write_text(CODE)
  (folder / HELPER).write_text("SCALE = 1.0\n")


def values(index: int) -> np.ndarray:
  """Samples [N, 4] of one recording: three windows."""
  rng = np.random.default_rng(index)
  x = rng.normal(size=(int(3 * 32 * fake_source.WINDOW_SEC), 4))
  return x * [0.01, 0.01, 0.01, 100] + [0, 0, 1, 0]


def write_cohort(
    folder: pathlib.Path, folders: bool = False, people: int = 5
) -> None:
  """Writes recordings P0, P1, ..., as files or folders."""
  for i in range(people):
    place = folder / f"P{i}" / "values.npy" if folders else (
        folder / f"P{i}.npy"
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    np.save(place, values(i))


def get_config(**fields):
  """A prepare config for the plug-in in the current folder."""
  return fake_source.get_config(source=f"./{FILE}", **fields)
