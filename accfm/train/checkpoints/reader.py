"""Checkpoints found in a folder and read onto the host.

Nothing here writes a checkpoint, needs the devices that saved it, or changes
a folder, except `set_aside`. Every file is compared with its checksum before
anything is read (`folder`). Orbax is imported when arrays are read, and not
before: finding a checkpoint and reading its record do without.
"""

import contextlib
import dataclasses
import functools
import math
import os
import pathlib
from typing import Any

import jax
import numpy as np

from accfm.base import plain as plainlib
from accfm.base import trees
from accfm.base.errors import InputError
from accfm.steps import record as recordlib
from accfm.train.checkpoints import folder
from accfm.train.checkpoints.folder import DamagedError, reason

__all__ = [
    "DamagedError", "Loaded", "check_template", "exists", "find", "listing",
    "load", "newest_whole", "read_meta", "read_record", "reason", "set_aside",
    "steps", "verify",
]

Path = str | os.PathLike


@dataclasses.dataclass(frozen=True)
class Loaded:
  """A checkpoint on the host, whatever devices saved it.

  Attributes:
    step: number of updates done.
    params: nested dict of NumPy arrays.
    carried: nested dict of NumPy arrays, empty if nothing was carried.
    frozen: nested dict of NumPy arrays, empty if nothing was frozen.
    meta: the JSON object of its record, as it stands in the file.
    path: its folder.
  """

  step: int
  params: dict
  carried: dict
  frozen: dict
  meta: dict
  path: pathlib.Path

  @functools.cached_property
  def record(self) -> recordlib.Record:
    """`meta` as a typed record; InputError where it is none."""
    return recordlib.from_plain(self.meta, f"checkpoint {self.path}: record")


def load(directory: Path, step: int | str | None = None) -> Loaded:
  """Loads a checkpoint onto the host as NumPy arrays.

  Args:
    directory: a workdir, its `checkpoints` folder, or one step's folder.
    step: a number, "latest" (None is the same) or "best": the best by the
      metric that the run ranked by, among the steps that were validated.

  Raises:
    InputError: there is no such checkpoint (the message lists what was
      found), or it is damaged.
  """
  path = find(directory, step)
  verify(path)
  state = _read_numpy(path, "state", only=("params", "carried"))
  frozen = _read_numpy(path, "frozen") if (path / "frozen").is_dir() else {}
  return Loaded(
      int(path.name), state["params"], state.get("carried") or {}, frozen,
      read_meta(path), path,
  )


def steps(workdir: Path) -> list[int]:
  """The steps whose finished checkpoints a run's workdir holds, sorted.

  A checkpoint that is still being written has no number for a name.
  """
  root = pathlib.Path(workdir) / "checkpoints"
  with contextlib.suppress(FileNotFoundError, NotADirectoryError):
    return _steps(root)
  return []


def exists(workdir: Path) -> bool:
  """Whether a run has saved a checkpoint in its workdir."""
  return bool(steps(workdir))


def newest_whole(workdir: Path) -> pathlib.Path | None:
  """The folder of the newest undamaged checkpoint of a run, or None."""
  root = pathlib.Path(workdir).absolute() / "checkpoints"
  for step in reversed(steps(workdir)):
    with contextlib.suppress(DamagedError):
      verify(root / str(step))
      return root / str(step)
  return None


def find(directory: Path, step: int | str | None = None) -> pathlib.Path:
  """The folder of a checkpoint; arguments and errors as for `load`."""
  given = pathlib.Path(directory).absolute()
  if not given.is_dir():
    kind = "a file" if given.exists() else "nothing there"
    raise InputError(
        f"checkpoint {directory}: got {kind}, want the workdir of a run"
    )
  if folder.step_of(given.name) is not None and (given / "state").is_dir():
    return _checked(given)
  inner = given / "checkpoints"
  root = inner if inner.is_dir() else given
  found = _steps(root)
  if not found:
    raise InputError(
        f"checkpoint {directory}: got no checkpoint ({listing(root)}), want "
        "the workdir of a run that has saved one"
    )
  if step == "best":
    return root / str(_best_step(root, found))
  if step in (None, "latest"):
    return _checked(root / str(found[-1]))
  if str(step).isdecimal() and int(step) in found:
    return _checked(root / str(int(step)))
  raise InputError(
      f"checkpoint {directory}: got step {step!r}, want one of {found}, "
      "'latest' or 'best'"
  )


def _steps(root: pathlib.Path) -> list[int]:
  """The steps that folders in a folder are named by, sorted."""
  numbers = (
      folder.step_of(path.name) for path in root.iterdir() if path.is_dir()
  )
  return sorted(step for step in numbers if step is not None)


def _checked(path: pathlib.Path) -> pathlib.Path:
  """The folder of a step, where its record names no other step.

  A checkpoint of the first format has a record that is slow to read, and
  names no step.
  """
  if (path / folder.RECORD).exists():
    folder.read(path)
  return path


def verify(path: Path) -> None:
  """Raises DamagedError unless a step's folder holds what was written."""
  folder.verify(pathlib.Path(path))


def read_meta(path: Path) -> dict:
  """The JSON object of a step's record; DamagedError if it has none."""
  return folder.read(pathlib.Path(path))


def read_record(path: Path) -> recordlib.Record:
  """The typed record of a step's folder; InputError where it is none."""
  return recordlib.from_plain(read_meta(path), f"checkpoint {path}: record")


def check_template(path: pathlib.Path, item: str, template: Any) -> None:
  """Raises InputError unless a saved tree has a template's leaves.

  Args:
    path: a step's folder.
    item: "state" or "frozen".
    template: pytree of leaves with shape and dtype.
  """
  saved, wanted = _leaves(_saved_tree(path, item)), _leaves(template)
  for name in sorted(set(saved) | set(wanted)):
    got, want = saved.get(name, "nothing"), wanted.get(name, "nothing")
    if got != want:
      raise InputError(
          f"checkpoint {path / item}: {name}: got {got}, want {want}; it was "
          "saved by another model: use its code and config, or another "
          "--workdir"
      )


def set_aside(path: pathlib.Path) -> pathlib.Path:
  """Renames a damaged step's folder to a name that no run reads."""
  aside, n = path.with_name(f"damaged-{path.name}"), 1
  while aside.exists():
    n += 1
    aside = path.with_name(f"damaged-{path.name}-{n}")
  path.rename(aside)
  return aside


def listing(path: pathlib.Path) -> str:
  """What a folder holds, for a message."""
  names = sorted(p.name for p in path.iterdir()) if path.is_dir() else []
  more = f", ... {len(names)} in all" if len(names) > 5 else ""
  return f"found {', '.join(names[:5])}{more}" if names else "it is empty"


def _read_numpy(path: pathlib.Path, item: str, only: tuple = ()) -> dict:
  """A saved tree (or the keys in `only`) as NumPy arrays.

  Each process of a job reads by itself and waits for no other.
  """
  from orbax.checkpoint import v1 as ocp
  tree = _saved_tree(path, item)
  if only:
    tree = {key: tree[key] for key in only if tree.get(key)}
  context = ocp.Context()
  context.pytree.loading.partial_load = True
  context.multiprocessing.primary_host = jax.process_index()
  context.multiprocessing.active_processes = {jax.process_index()}
  with context:
    return ocp.load(
        str(path), jax.tree.map(lambda _: np.ndarray, tree),
        checkpointable_name=item,
    )


def _saved_tree(path: pathlib.Path, item: str) -> Any:
  """Nested dicts and lists of the shapes and types of a saved tree."""
  from orbax.checkpoint import v1 as ocp
  return ocp.metadata(str(path), checkpointable_name=item).metadata


def _leaves(tree: Any) -> dict[str, str]:
  """{"params.w": "float32[3, 4]"} of a pytree's leaves."""
  flat = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {
      ".".join(trees.names(path)): f"{leaf.dtype}{list(leaf.shape)}"
      for path, leaf in flat
  }


def _best_step(root: pathlib.Path, found: list[int]) -> int:
  """The step with the best score, by the metric the newest run ranked by."""
  metas = {step: read_meta(root / str(step)) for step in found}
  best = metas[found[-1]].get("best", {"metric": "", "mode": "max"})
  best = plainlib.from_plain(
      recordlib.Ranking, best, f"checkpoint {root / str(found[-1])}: best"
  )
  scores = {}
  for step, meta in metas.items():
    metrics = meta.get("metrics")
    score = metrics.get(best.metric) if isinstance(metrics, dict) else None
    if type(score) in (int, float) and math.isfinite(score):
      scores[step] = score
  if not scores or best.mode not in ("max", "min"):
    raise InputError(
        f"checkpoint {root}: got no step ranked by {best.metric!r} "
        f"({best.mode}), want 'latest' or one of {found}"
    )
  choose = max if best.mode == "max" else min
  return choose(scores, key=lambda step: scores[step])
