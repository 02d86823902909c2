"""Weights as a flat file: names, numbers, nothing else.

A safetensors file holds arrays by name and no code. The names are the paths of
an encoder's variables, such as "params/block_0/attention/query/kernel".
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from accfm.base.errors import InputError

SHOWN = 3  # names in a message
MOST_BYTES = 16 << 30  # of a file


def flatten(variables: Any) -> dict[str, np.ndarray]:
  """{"params/...": array} of nested dicts."""
  out = {}
  for name, value in variables.items():
    if isinstance(value, Mapping):
      out |= {f"{name}/{k}": v for k, v in flatten(value).items()}
    else:
      out[name] = np.asarray(value)
  return out


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
  """Nested dicts of what `flatten` made."""
  out: dict[str, Any] = {}
  for name, value in flat.items():
    *folders, last = name.split("/")
    place = out
    for folder in folders:
      place = place.setdefault(folder, {})
    place[last] = value
  return out


def save(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes arrays by name."""
  safetensors.numpy.save_file(
      {k: np.ascontiguousarray(v) for k, v in arrays.items()}, path)


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The arrays of a file.

  Raises:
    InputError: it is not there, is damaged, or holds NaN or infinite numbers.
  """
  try:
    if os.path.getsize(path) > MOST_BYTES:
      raise InputError(f"{path}: more than {MOST_BYTES >> 30} GiB")
    found = safetensors.numpy.load_file(path)
  except OSError as error:
    raise InputError(f"{path}: cannot be read ({error.strerror})") from error
  except (safetensors.SafetensorError, ValueError, KeyError) as error:
    raise InputError(
        f"{path}: damaged ({' '.join(str(error).split())[:120]}); get the "
        "model folder again"
    ) from error
  for name, x in found.items():
    if x.dtype.kind == "f" and not np.isfinite(x).all():
      raise InputError(f"{path}: {name} holds NaN or infinite numbers")
  return found


def digest(path: str | os.PathLike) -> str:
  """SHA-256 of a file."""
  found = hashlib.sha256()
  with open(path, "rb") as f:
    while block := f.read(1 << 20):
      found.update(block)
  return found.hexdigest()


def check_fits(
    flat: Mapping[str, np.ndarray], encoder: Any, samples: int, channels: int,
    where: str,
) -> None:
  """Raises InputError unless arrays are the variables of an encoder.

  Args:
    flat: as from `load`.
    encoder: a linen module.
    samples, channels: of its input.
    where: what the arrays are from, for messages.
  """
  want = flatten_shapes(jax.eval_shape(
      encoder.init, jax.random.key(0), jnp.zeros((1, samples, channels))))
  have = {name: (x.shape, x.dtype.name) for name, x in flat.items()}
  for problem, names in (
      ("lacks", want.keys() - have.keys()),
      ("has unknown", have.keys() - want.keys()),
  ):
    if names:
      listed = ", ".join(sorted(names)[:SHOWN])
      raise InputError(
          f"{where}: {problem} {len(names)} of the encoder's {len(want)} "
          f"arrays, such as {listed}"
      )
  for name, shape in want.items():
    if have[name] != shape:
      raise InputError(
          f"{where}: {name} is {have[name][1]} {list(have[name][0])}, the "
          f"encoder wants {shape[1]} {list(shape[0])}"
      )


def flatten_shapes(shapes: Any) -> dict[str, tuple[tuple[int, ...], str]]:
  """{"params/...": (shape, dtype)} of nested shapes."""
  out = {}
  for name, value in shapes.items():
    if isinstance(value, Mapping):
      out |= {f"{name}/{k}": v for k, v in flatten_shapes(value).items()}
    else:
      out[name] = (tuple(value.shape), np.dtype(value.dtype).name)
  return out
