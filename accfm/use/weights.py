"""Weights as a flat file: names, numbers, nothing else.

A safetensors file holds arrays by name and no code. The names are the paths of
an encoder's variables, such as "params/block_0/attention/query/kernel".
"""

import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from accfm.base.errors import InputError

SHOWN = 3  # names in a message
MOST_BYTES = 16 << 30  # of a file
MOST_CALLS = 20  # of an encoder's modules for each of its arrays


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
  """Writes arrays by name, into a file that others may read.

  The library's own writer makes a file that its owner alone may read.
  """
  pathlib.Path(path).write_bytes(safetensors.numpy.save(
      {k: np.ascontiguousarray(v) for k, v in arrays.items()}))


def write_json(path: pathlib.Path, plain: Any) -> None:
  """Writes plain data as JSON."""
  path.write_text(
      json.dumps(plain, indent=2, sort_keys=True, allow_nan=False) + "\n",
      encoding="utf-8")


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The arrays of a file.

  Raises:
    InputError: it is not there, is damaged, or holds NaN or infinite numbers.
  """
  if not os.path.isfile(path):  # a pipe would be waited for
    raise InputError(
        f"{path}: is not there, or is no file; get the model folder again")
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


def check_counts(
    flat: Mapping[str, np.ndarray], arrays: int, parameters: int, where: str
) -> None:
  """Raises InputError unless there are as many arrays and numbers as said."""
  for what, want, have in (
      ("arrays", arrays, len(flat)),
      ("numbers", parameters, sum(x.size for x in flat.values())),
  ):
    if have != want:
      raise InputError(
          f"{where}: has {have:,} {what}, its config says {want:,}; get the "
          "model folder again")


def check_sizes(config: Any, most: int, where: str) -> None:
  """Raises InputError for a number in an encoder's config above `most`.

  No width or depth is larger than the number of weights, no patch than the
  segment. So nothing is built that the file cannot hold.
  """
  parts = [config]
  while parts:
    part = parts.pop()
    if isinstance(part, Mapping):
      parts += part.values()
    elif isinstance(part, (list, tuple)):
      parts += part
    elif isinstance(part, (int, float)) and not abs(part) <= max(most, 1):
      raise InputError(
          f"{where}: encoder has the number {part:g}, want at most {most:,}: "
          "the file holds no such encoder")


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
  calls, most = itertools.count(), MOST_CALLS * (len(flat) + 1)

  def count(call, args, kwargs, context):
    if next(calls) > most:
      raise InputError(
          f"{where}: has {len(flat):,} arrays, far fewer than the encoder of "
          "its config; get the model folder again")
    return call(*args, **kwargs)

  with nn.intercept_methods(count):
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
