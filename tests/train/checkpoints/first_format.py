"""Checkpoints as accfm first wrote them, before it used Orbax's v1 API.

`first_format.tar.xz` is the workdir of a tiny distillation that such code
ran (four steps, of which the last checkpoint is kept); `Checkpoints.save`
below is that code.
"""

import json
import math
import pathlib
import tarfile
import zlib

import jax
import orbax.checkpoint as ocp

from accfm.train import checkpoints

ARCHIVE = pathlib.Path(__file__).with_suffix(".tar.xz")


def unpack(folder):
  """The archived workdir, in `folder`."""
  with tarfile.open(ARCHIVE) as archive:
    archive.extractall(folder, filter="data")
  return folder / "student"


class Checkpoints(checkpoints.Checkpoints):
  """Today's, but each step is written as it was first, and at once."""

  def save(self, step, state, frozen, meta, metrics=None):
    items = {
        "state": ocp.args.StandardSave(state),
        "meta": ocp.args.JsonSave(
            {**meta, "best": self._best, "metrics": metrics}
        ),
    }
    if jax.tree.leaves(frozen):
      items["frozen"] = ocp.args.StandardSave(frozen)
    score = (metrics or {}).get(self._best["metric"], math.nan)
    policies = ocp.checkpoint_managers
    latest = policies.LatestN(2)
    best = policies.BestN(
        get_metric_fn=lambda metrics: metrics["score"], n=1,
        keep_checkpoints_without_metrics=False,
    )
    with ocp.CheckpointManager(
        self.directory,
        options=ocp.CheckpointManagerOptions(
            best_fn=lambda metrics: metrics["score"],
            preservation_policy=policies.AnyPreservationPolicy([latest, best]),
            async_options=ocp.options.AsyncOptions(
                post_finalization_callback=lambda: self._sum(step)
            ),
        ),
    ) as manager:
      manager.save(
          step, args=ocp.args.Composite(**items), force=True,
          metrics={"score": score} if math.isfinite(score) else None,
      )
    self._orbax.reload()

  def _sum(self, step):
    for path in self.directory.glob(f"{step}.orbax-checkpoint-tmp*"):
      sums = {
          file.relative_to(path).as_posix(): [
              file.stat().st_size, zlib.crc32(file.read_bytes())
          ] for file in sorted(path.glob("*/**/*")) if file.is_file()
      }
      (path / "checksums.json").write_text(json.dumps(sums))
