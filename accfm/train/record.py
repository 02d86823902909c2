"""What a checkpoint says of its run, and what a resumed run may not change."""

import json

from accfm.base import configlib
from accfm.base.errors import InputError
from accfm.data import splits
from accfm.train.checkpoints import reader
from accfm.version import __version__


def make_meta(kind, config, data, teacher=None, **more):
  """What a checkpoint says of itself, plain JSON data.

  With `config.pseudonym_salt` it holds nobody's id, see `hide_people`.

  Args:
    kind: "mae", "contrastive", "distill" or "supervised".
    config: the run's config.
    data: its `opening.TrainingData`; the trained signal first.
    teacher: the teacher checkpoint's meta, or None.
    **more: further plain data.
  """
  meta = {
      "kind": kind,
      "config": config.to_dict(),
      "contract": data.contract.to_dict(),
      "cohorts": [
          {
              "dataset": part.manifest["name"],
              "split_hash": part.manifest["split_hash"],
              "splits": part.manifest["splits"],
              "windows": part.manifest["windows"],
          } for part in data.train.parts
      ],
      "signals": list(data.signals),
      "teacher": teacher,
      "code_version": __version__,
      **more,
  }
  salt = config.pseudonym_salt
  return hide_people(meta, salt) if salt else meta


def hide_people(meta, salt):
  """A checkpoint's meta, and its teacher's inside, without anybody's id.

  The salt is kept beside the pseudonyms, so that the leak guard can tell who
  was trained on. So nobody reads an id there, but a guess of one can be
  tested. What a teacher's record hides already stays as it is.
  """
  if "cohorts" not in meta:  # a teacher that no run made
    return meta
  cohorts = [
      cohort if "salt" in cohort else {
          **cohort, "salt": salt, "splits": {
              name: [splits.pseudonym(person, salt) for person in people]
              for name, people in cohort["splits"].items()
          },
      } for cohort in meta["cohorts"]
  ]
  teacher = meta["teacher"] and hide_people(meta["teacher"], salt)
  return {**meta, "cohorts": cohorts, "teacher": teacher}


def resumed(workdir, kind, main):
  """The newest whole checkpoint of a run's own workdir, loaded, or None.

  Raises:
    InputError: the workdir is one of another kind of run.
  """
  newest = reader.newest_whole(workdir)
  if newest is None:
    return None
  mine = reader.load(newest)
  if mine.meta["kind"] != kind:
    raise InputError(
        f"workdir {workdir}: got a {mine.meta['kind']!r} run, want one of "
        f"accfm.{main}; choose another --workdir"
    )
  return mine


def check_same_data(workdir, meta):
  """Raises InputError if a run would resume on other data than it began on.

  Batch k would be another one, and people may have changed sides.
  """
  newest = reader.newest_whole(workdir)
  if newest is None:
    return
  before, now = reader.read_meta(newest), json.loads(json.dumps(meta))
  lines = configlib.differences(
      {"contract": _fixed(before["contract"])},
      {"contract": _fixed(now["contract"])},
  )
  old, new = (
      {cohort["dataset"]: _fixed(cohort) for cohort in meta["cohorts"]}
      for meta in (before, now)
  )
  lines += configlib.differences(old, new)
  if lines:
    raise InputError(
        f"workdir {workdir}: its run is on other data, differing in "
        f"{'; '.join(lines)}; restore that data set or choose another "
        "--workdir"
    )


def _fixed(part):
  """Without what is told by a hash (splits) or may differ (version)."""
  return {k: v for k, v in part.items() if k not in ("splits", "code_version")}
