"""Room for the results, looked at before the work and not at its end."""

import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from accfm.base.errors import InputError

# Bytes, on the generous side.
REPORT = 4 << 20  # report.html, metrics.json and figures.json
KEYS = 64  # what names a row
LINE = 40  # of predictions.parquet
LINES = 72  # of predictions for each row: tasks times encoders
EMBEDDINGS = "embeddings"


def estimate(
    splits: Mapping[str, Any], tested: str, vectors: int
) -> dict[str, int]:
  """Bytes that an evaluation writes: what -> how many.

  Args:
    splits: name -> open split.
    tested: name of the split under evaluation.
    vectors: bytes of a row's embeddings, 0 where they are not kept.
  """
  rows = sum(map(len, splits.values()))
  return {
      EMBEDDINGS: rows * (vectors + KEYS) if vectors else 0,
      "predictions": len(splits[tested]) * LINES * LINE,
      "report": REPORT,
  }


def check(workdir: pathlib.Path, wanted: Mapping[str, int]) -> None:
  """Raises InputError unless a folder has room for what is to be written.

  Args:
    workdir: its parent may be all that is there. Embeddings that are in it
      are reused or replaced.
    wanted: as from `estimate`.
  """
  there = sum(
      path.stat().st_size for path in (workdir / EMBEDDINGS).glob("*.parquet")
  )
  need = sum(wanted.values()) - min(there, wanted[EMBEDDINGS])
  place = workdir.absolute()
  while not place.exists():
    place = place.parent
  free = shutil.disk_usage(place).free
  if free < need:
    parts = ", ".join(f"{n} {_mb(size)}" for n, size in wanted.items() if size)
    fix = (
        ", or set --config.save_embeddings=false" if wanted[EMBEDDINGS] else ""
    )
    raise InputError(
        f"--workdir: {workdir} has {_mb(free)} free, want about {_mb(need)} "
        f"({parts}); free some space or choose another --workdir{fix}"
    )


def _mb(size: int) -> str:
  return f"{size / 1e6:,.0f} MB"
