"""Recordings as files, small enough to prepare in a second.

Empatica E4 folders, which the package's own source reads, and a source of
one's own that reads `.npy` files and scales them in a module beside it.
"""

import pathlib

import numpy as np

SECONDS, START_S = 44, 1_644_829_925
ACC_HZ, BVP_HZ = 32, 64

# A source outside the package, as docs/cohort.md has it.
SOURCE = '''"""A watch whose recordings are arrays."""

import pathlib

import numpy as np
import watch_scale

from accfm.signals.recording import Recording, Signal

GAIN = 1.0


def list_recordings(source_dir, cfg):
  return sorted(p.stem for p in pathlib.Path(source_dir).glob("*.npy"))


def read_recording(source_dir, name, cfg):
  rows = np.load(pathlib.Path(source_dir) / f"{name}.npy") * GAIN
  rows[:, 3] *= watch_scale.GAIN
  return Recording(
      participant=name, session="day",
      signals={
          "acc": Signal(rows[:, :3], 32.0, "g", 1.6e9),
          "ppg": Signal(rows[:, 3:], 32.0, "au", 1.6e9),
      },
  )
'''
BESIDE = '"""What a volt of the watch is."""\n\nGAIN = 1.0\n'


def make_signals(seed: int, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
  """(acceleration in g [N, 3], PPG [N, 1]) of a wrist at rest."""
  rng = np.random.default_rng(seed)
  times = np.arange(int(SECONDS * rate_hz)) / rate_hz
  phase = 2 * np.pi * (1.0 + 0.02 * (seed % 20)) * times
  acc = rng.normal(0, 0.02, (len(times), 3)) + [0.0, 0.0, 1.0]
  acc[:, 0] += 0.05 * np.sin(0.5 * phase)
  ppg = 60 * np.sin(phase) + 20 * np.sin(2 * phase)
  return acc, (ppg + rng.normal(0, 4, len(times)))[:, None]


def write_e4(folder: pathlib.Path, seed: int) -> None:
  """Writes one E4 session folder."""
  folder.mkdir(parents=True)
  acc, _ = make_signals(seed, ACC_HZ)
  _, bvp = make_signals(seed, BVP_HZ)
  units = np.clip(np.rint(acc * 64), -128, 127).astype(int)
  write_lines(folder / "ACC.csv", [
      ", ".join([f"{START_S}.000000"] * 3),
      ", ".join([f"{ACC_HZ}.000000"] * 3),
      *(",".join(map(str, row)) for row in units.tolist()),
  ])
  write_lines(folder / "BVP.csv", [
      f"{START_S}.000000", f"{BVP_HZ}.000000",
      *(f"{value:.2f}" for value in bvp[:, 0]),
  ])


def write_cohort(root: pathlib.Path, people: int, seed: int = 0) -> None:
  """Writes E4 folders P00, P01, ..."""
  for person in range(people):
    write_e4(root / f"P{person:02d}", 1000 * seed + person)


def write_arrays(root: pathlib.Path, people: int) -> None:
  """Writes the recordings that `SOURCE` reads."""
  root.mkdir(parents=True)
  for person in range(people):
    np.save(root / f"W{person:02d}.npy", np.hstack(make_signals(person, 32)))


def change_e4(folder: pathlib.Path, rng: np.random.Generator) -> str:
  """Changes part of one E4 file; returns its name."""
  name = str(rng.choice(["ACC.csv", "BVP.csv"]))
  lines = (folder / name).read_text().splitlines()
  half = len(lines) // 2
  write_lines(folder / name, [
      *lines[:half],
      *(
          ",".join(f"{-float(cell):g}" for cell in line.split(","))
          for line in lines[half:]
      ),
  ])
  return name


def write_lines(path: pathlib.Path, lines: list[str]) -> None:
  """Writes a text file."""
  path.write_text("\n".join(lines) + "\n")
