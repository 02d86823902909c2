"""What a checkpoint folder holds: found, verified, read onto the host.

Nothing here writes a checkpoint, needs the devices that saved it, or changes
a folder but for `set_aside`. Orbax reads a flipped byte as another weight
without a word, so the CRC-32 of each file, written before the checkpoint was
renamed into place, is compared before anything is believed.
"""

import contextlib
import dataclasses
import functools
import json
import logging
import os
import pathlib
import traceback
import zlib

import jax
import numpy as np
import orbax.checkpoint as ocp

from accfm.base.errors import InputError
from accfm.steps import record as recordlib

CHECKSUMS = "checksums.json"

# Orbax narrates each step of each save, with tracebacks of errors that are
# reported here in one line.
_FROM_ORBAX = f"{os.sep}orbax{os.sep}checkpoint{os.sep}"
logging.getLogger("absl").addFilter(
    lambda record: _FROM_ORBAX not in record.pathname
)


def _not_of_orbax(record):
  """Whether what asyncio says is of another's task than Orbax's."""
  text = record.getMessage()
  if record.exc_info:  # a bare future names nobody, its traceback does
    text += "".join(traceback.format_exception(*record.exc_info))
  return _FROM_ORBAX not in text


logging.getLogger("asyncio").addFilter(_not_of_orbax)


class DamagedError(InputError):
  """A checkpoint is not what was written."""


@dataclasses.dataclass(frozen=True)
class Loaded:
  """A checkpoint on the host, whatever devices saved it.

  Attributes:
    step: number of updates done.
    params: nested dict of NumPy arrays.
    carried: nested dict of NumPy arrays, empty if nothing was carried.
    frozen: nested dict of NumPy arrays, empty if nothing was frozen.
    meta: the JSON object that was saved with it, as it stands in the file.
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


def load(directory, step=None):
  """Loads a checkpoint onto the host as NumPy.

  Args:
    directory: a workdir, its `checkpoints` folder, or one step's folder.
    step: a number, "latest" (None is the same) or "best": the best by the
      metric the run ranked by, of those that were validated.

  Returns:
    Loaded.

  Raises:
    InputError: there is no such checkpoint (what was found is said), or it
      is damaged.
  """
  path = find(directory, step)
  verify(path)
  meta = read_meta(path)
  reader = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
  with contextlib.closing(reader):
    state = _read_numpy(reader, path / "state", ("params", "carried"))
    frozen = path / "frozen"
    frozen = _read_numpy(reader, frozen) if frozen.is_dir() else {}
  return Loaded(
      int(path.name), state["params"], state.get("carried") or {}, frozen,
      meta, path,
  )


def steps(workdir):
  """Steps of which a run's workdir holds a finished checkpoint, sorted.

  What is half-written has another name than a number.
  """
  folder = pathlib.Path(workdir) / "checkpoints"
  with contextlib.suppress(FileNotFoundError, NotADirectoryError):
    return sorted(
        int(p.name) for p in folder.iterdir() if p.name.isdecimal()
    )
  return []


def exists(workdir):
  """Whether a run has saved a checkpoint in its workdir."""
  return bool(steps(workdir))


def newest_whole(workdir):
  """The folder of the newest undamaged checkpoint of a run, or None."""
  root = pathlib.Path(workdir).absolute() / "checkpoints"
  for step in reversed(steps(workdir)):
    with contextlib.suppress(DamagedError):
      verify(root / str(step))
      return root / str(step)
  return None


def find(directory, step=None):
  """The folder of a checkpoint; arguments and errors as for `load`."""
  given = pathlib.Path(directory).absolute()
  if not given.is_dir():
    kind = "a file" if given.exists() else "nothing there"
    raise InputError(
        f"checkpoint {directory}: got {kind}, want the workdir of a run"
    )
  if given.name.isdecimal() and (given / "state").is_dir():
    return given
  inner = given / "checkpoints"
  root = inner if inner.is_dir() else given
  steps = sorted(
      int(p.name) for p in root.iterdir() if p.is_dir() and p.name.isdecimal()
  )
  if not steps:
    raise InputError(
        f"checkpoint {directory}: got no checkpoint ({listing(root)}), want "
        "the workdir of a run that has saved one"
    )
  if step == "best":
    return root / str(_best_step(root, steps))
  if step in (None, "latest"):
    return root / str(steps[-1])
  if str(step).isdecimal() and int(step) in steps:
    return root / str(int(step))
  raise InputError(
      f"checkpoint {directory}: got step {step!r}, want one of {steps}, "
      "'latest' or 'best'"
  )


def verify(path):
  """Raises DamagedError unless a step folder holds what was written."""
  path = pathlib.Path(path)
  try:
    wanted = json.loads((path / CHECKSUMS).read_text())
    found = checksums(path)
  except (OSError, ValueError) as error:
    raise DamagedError(
        f"checkpoint {path}: cannot be read ({reason(error)}), want a whole "
        "one; use another step"
    ) from error
  changed = [f for f in sorted(wanted) if found.get(f) != wanted[f]]
  if changed:
    what = "differs from" if changed[0] in found else "is missing of"
    raise DamagedError(
        f"checkpoint {path}: {changed[0]} {what} what was written "
        f"({len(changed)} of {len(wanted)} files); use another step"
    )


def checksums(path):
  """{file: [bytes, CRC-32]} of the items below a step folder."""
  sums = {}
  for file in sorted(path.glob("*/**/*")):
    if file.is_file():
      crc, size = 0, 0
      with open(file, "rb") as f:
        while chunk := f.read(1 << 20):
          crc, size = zlib.crc32(chunk, crc), size + len(chunk)
      sums[file.relative_to(path).as_posix()] = [size, crc]
  return sums


def _read_numpy(reader, path, only=()):
  """The tree saved at `path` (or some of its keys) as NumPy arrays."""
  tree = _saved_tree(reader, path)
  if only:
    tree = {key: tree[key] for key in only if tree.get(key)}
  as_numpy = jax.tree.map(
      lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree
  )
  return reader.restore(
      path,
      args=ocp.args.PyTreeRestore(
          item=tree, restore_args=as_numpy, partial_restore=True
      ),
  )


def _saved_tree(reader, path):
  """Nested dicts and lists of the shapes and types saved at `path`."""
  return reader.metadata(path).item_metadata.tree


def check_template(path, template):
  """Raises InputError unless a saved tree has a template's leaves."""
  with contextlib.closing(
      ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
  ) as reader:
    saved = _leaves(_saved_tree(reader, path))
  wanted = _leaves(template)
  for name in sorted(set(saved) | set(wanted)):
    got, want = saved.get(name, "nothing"), wanted.get(name, "nothing")
    if got != want:
      raise InputError(
          f"checkpoint {path}: {name}: got {got}, want {want}; it was saved "
          "by another model: use its code and config, or another --workdir"
      )


def _leaves(tree):
  """{"params.w": "float32[3, 4]"} of a pytree's leaves."""
  flat = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {
      ".".join(str(_key(k)) for k in path): f"{leaf.dtype}{list(leaf.shape)}"
      for path, leaf in flat
  }


def _key(key):
  for kind in ("key", "name", "idx"):
    if hasattr(key, kind):
      return getattr(key, kind)
  return key


def _best_step(root, steps):
  """The step with the best score, by the metric the newest run ranked by."""
  metas = {step: read_meta(root / str(step)) for step in steps}
  best = metas[steps[-1]].get("best", {"metric": "", "mode": "max"})
  scores = {
      step: meta["metrics"][best["metric"]]
      for step, meta in metas.items()
      if (meta.get("metrics") or {}).get(best["metric"]) is not None
  }
  if not scores:
    raise InputError(
        f"checkpoint {root}: got no step ranked by {best['metric']!r}, want "
        f"'latest' or one of {steps}"
    )
  return (max if best["mode"] == "max" else min)(scores, key=scores.get)


def read_meta(path):
  """The JSON object that was saved with a step folder's arrays."""
  try:
    return json.loads((path / "meta" / "metadata").read_text())
  except (OSError, ValueError, RecursionError) as error:
    raise DamagedError(
        f"checkpoint {path}: its record cannot be read ({reason(error)}); "
        "use another step"
    ) from error


def read_record(path: pathlib.Path) -> recordlib.Record:
  """The typed record of a step folder; InputError where it is none."""
  return recordlib.from_plain(read_meta(path), f"checkpoint {path}: record")


def set_aside(path):
  """Renames a damaged step folder to a name that no run reads."""
  aside, n = path.with_name(f"damaged-{path.name}"), 1
  while aside.exists():
    n += 1
    aside = path.with_name(f"damaged-{path.name}-{n}")
  path.rename(aside)
  return aside


def listing(path):
  """What a folder holds, for a message."""
  names = sorted(p.name for p in path.iterdir()) if path.is_dir() else []
  more = f", ... {len(names)} in all" if len(names) > 5 else ""
  return f"found {', '.join(names[:5])}{more}" if names else "it is empty"


def reason(error):
  """The telling part of an error, on one line."""
  text = getattr(error, "strerror", None) or str(error) or repr(error)
  for telling in ("No space left on device", "File too large", "Disk quota"):
    if telling in text:
      return telling
  return " ".join(text.split())[:160]
