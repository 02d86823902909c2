"""One run owns one workdir: the config that opened it is the one it keeps.

Running the same command again resumes. Another config would mix two runs in
one set of checkpoints, so it is refused, and the message lists the fields that
differ. Fields that do not change what is learned may differ.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Collection, Iterator
from typing import Any

import jax
from ml_collections import ConfigDict

from accfm.base import configlib, files, jsonfile, locks
from accfm.base.errors import InputError, warn
from accfm.version import __version__

# Names (the last part of a dotted field) that a resumed run may change.
VOLATILE = (
    "log_every",
    "validate_every",
    "train_evals",
    "evals_every",
    "checkpoint_every",
    "keep_latest",
    "keep_best",
    "workers",
    "prefetch",
    "cache_mb",
    "fsdp",
    "model",
    "max_damaged_share",
    "on_bad_step",
    "max_skipped",
    "spike_factor",
    "profile_steps",
    "stall_seconds",
)


# Fields (the last part of a dotted name) that newer code added: the value with
# which it trains as before. A run that began without the field goes on with
# that value alone, or with ANY where the field only names what others say.
ANY = object()
ADDED = {
    "optimizer": "adamw",
    "lr_multipliers": [],
    "decay_patterns": [],
    "objective": ANY,  # the kind of training; the checkpoint's record says it
    "hold_out_share": 0.0,
    "minutes_per_person": 1,
    "soft_weight": 0.0,
    "align_with": "",  # of an evaluation, as the next two
    "fit_dataset": "",
    "signal": "",
    "soft_temperature": ANY,  # of no use without the weight
    "preset": ANY,  # of augmentations, whose values stand beside it
}


@contextlib.contextmanager
def held(
    workdir: str | os.PathLike, config: ConfigDict | dict, what: str,
) -> Iterator[pathlib.Path]:
  """Claims a workdir for a config, and holds it while this process lives.

  Process 0 holds it for its whole job.

  Args:
    workdir, config: as `claim`.
    what: the command, for the message to others.

  Yields:
    The workdir.

  Raises:
    InputError: as `claim`, or another process uses the workdir.
  """
  files.refuse_file(workdir, "--workdir")
  with contextlib.ExitStack() as stack:
    if jax.process_index() == 0:
      stack.enter_context(locks.held(workdir, what))
    yield claim(workdir, config)


def claim(
    workdir: str | os.PathLike, config: ConfigDict | dict,
    volatile: Collection[str] = VOLATILE,
) -> pathlib.Path:
  """Opens a workdir for a config, or checks that it is that config's.

  The first run writes `config.json`: the resolved config, the digest of the
  fields that may not differ, the names of the others, and the code version.
  A later run says so where another version of accfm began it.

  Args:
    workdir: a folder; created if absent.
    config: nested plain values.
    volatile: names of fields that may differ.

  Returns:
    The workdir as a pathlib.Path.

  Raises:
    InputError: the workdir is a URL, belongs to another config (the
      differing fields are listed), its config.json does not parse or was
      edited, or it holds checkpoints and no config.json.
  """
  files.refuse_url(workdir, "--workdir")
  plain = config.to_dict() if isinstance(config, ConfigDict) else config
  plain = json.loads(json.dumps(plain))  # tuples as they will be read back
  workdir = pathlib.Path(workdir)
  path = workdir / "config.json"
  if path.exists():
    _check_same(path, plain, volatile)
    return workdir
  if (workdir / "checkpoints").is_dir() and any(
      (workdir / "checkpoints").iterdir()
  ):
    raise InputError(
        f"workdir {workdir}: got checkpoints without a config.json, want a "
        "run's own or an empty folder; choose another --workdir"
    )
  if workdir.exists() and not workdir.is_dir():
    raise InputError(f"workdir {workdir}: got a file, want a folder")
  if jax.process_index() == 0:
    text = json.dumps(
        {
            "config": plain,
            "digest": configlib.digest(_fixed(plain, volatile)),
            "volatile": sorted(volatile),
            "code_version": __version__,
        },
        sort_keys=True,
        indent=1,
    )
    try:
      workdir.mkdir(parents=True, exist_ok=True)
      files.write_atomic(path, text + "\n")
    except OSError as error:
      raise InputError(
          f"workdir {workdir}: cannot be written ({error.strerror}); choose "
          "another --workdir"
      ) from error
  return workdir


def load_config(workdir: str | os.PathLike) -> dict[str, Any]:
  """The plain config that opened a workdir; InputError if there is none."""
  return _read(pathlib.Path(workdir) / "config.json")["config"]


def _check_same(
    path: pathlib.Path, plain: dict, volatile: Collection[str]
) -> None:
  found = _read(path)
  _check_digest(path, found, volatile)
  old = _with_added(found["config"], plain)
  lines = configlib.differences(
      _fixed(old, volatile), _fixed(plain, volatile)
  )
  if lines:
    raise InputError(
        f"workdir {path.parent}: written by another config, differing in "
        f"{'; '.join(lines)}; use that config or another --workdir"
    )
  version = found.get("code_version")
  if version != __version__:
    _warn(f"{path}: accfm {str(version)[:40]} began this run and accfm "
          f"{__version__} goes on with it; numbers may differ from those of "
          "one version")


def _check_digest(
    path: pathlib.Path, found: dict, today: Collection[str]
) -> None:
  """Raises InputError if a config is not the one that its digest is of.

  Older code did not write which fields the digest leaves out. Where such a
  file does not fit today's, a line says so.
  """
  volatile = found.get("volatile", list(today))
  whole = isinstance(volatile, list) and all(
      isinstance(name, str) for name in volatile
  )
  fixed = _fixed(found["config"], volatile if whole else ())
  if whole and found.get("digest") == configlib.digest(fixed):
    return
  if "volatile" not in found:
    _warn(f"{path}: its config does not fit its digest: older code wrote it, "
          "or somebody edited it")
    return
  raise InputError(
      f"{path}: its config is not the one that the run began with (its digest "
      "does not fit): somebody edited it; restore the file or choose another "
      "--workdir"
  )


def _warn(text: str) -> None:
  if jax.process_index() == 0:
    warn(text)


def _read(path: pathlib.Path) -> dict:
  want = "what a run writes; restore it or choose another --workdir"
  found = jsonfile.read_object(path, want, finite=False)
  if not isinstance(found.get("config"), dict):
    raise InputError(f"{path}: got no config in it, want {want}")
  return found


def _with_added(old: dict, new: dict) -> dict:
  """An older config with the fields of ADDED that only the newer one has."""
  out = dict(old)
  for name, value in new.items():
    if isinstance(value, dict) and isinstance(old.get(name), dict):
      out[name] = _with_added(old[name], value)
    elif name not in old and name in ADDED:
      out[name] = value if ADDED[name] is ANY else ADDED[name]
  return out


def _fixed(plain: dict, volatile: Collection[str]) -> dict:
  """A nested dict without its volatile fields."""
  return {
      name: _fixed(value, volatile) if isinstance(value, dict) else value
      for name, value in plain.items()
      if name not in volatile
  }
