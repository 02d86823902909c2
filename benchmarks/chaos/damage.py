"""Ways to damage a file, drawn at random."""

import pathlib
from collections.abc import Callable

import numpy as np


def flip(path: pathlib.Path, rng: np.random.Generator) -> str:
  """Turns one byte into another."""
  content = bytearray(path.read_bytes())
  place = int(rng.integers(max(1, len(content))))
  if content:
    content[place] ^= int(rng.integers(1, 256))
  path.write_bytes(content)
  return f"byte {place} turned"


def scatter(path: pathlib.Path, rng: np.random.Generator) -> str:
  """Overwrites a part with random bytes."""
  content = bytearray(path.read_bytes())
  start = int(rng.integers(max(1, len(content))))
  part = content[start:start + 64]
  content[start:start + len(part)] = rng.bytes(len(part))
  path.write_bytes(content)
  return f"{len(part)} bytes from {start} on overwritten"


def truncate(path: pathlib.Path, rng: np.random.Generator) -> str:
  """Cuts the file short."""
  content = path.read_bytes()
  size = int(rng.integers(max(1, len(content))))
  path.write_bytes(content[:size])
  return f"cut after {size} of {len(content)} bytes"


def empty(path: pathlib.Path, rng: np.random.Generator) -> str:
  """Leaves nothing in the file."""
  del rng
  path.write_bytes(b"")
  return "emptied"


def remove(path: pathlib.Path, rng: np.random.Generator) -> str:
  """Removes the file."""
  del rng
  path.unlink()
  return "removed"


def rename(path: pathlib.Path, rng: np.random.Generator) -> str:
  """Gives the file another name."""
  del rng
  path.rename(path.with_name(path.name + ".old"))
  return "renamed"


def into_folder(path: pathlib.Path, rng: np.random.Generator) -> str:
  """Puts a folder in the file's place."""
  del rng
  path.unlink()
  path.mkdir()
  return "a folder in its place"


WAYS: dict[str, Callable[[pathlib.Path, np.random.Generator], str]] = {
    "flip": flip, "scatter": scatter, "truncate": truncate, "empty": empty,
    "remove": remove, "rename": rename, "folder": into_folder,
}


def draw(
    path: pathlib.Path, rng: np.random.Generator,
    ways: tuple[str, ...] = tuple(WAYS),
) -> str:
  """Damages a file in a way that is drawn; says how."""
  way = ways[int(rng.integers(len(ways)))]
  return f"{path.name}: {WAYS[way](path, rng)}"
