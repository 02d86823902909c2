"""Embeddings in two dimensions, as a map to look at.

Principal components are exact and quick, and distances on the map mean
something. t-SNE (van der Maaten and Hinton, JMLR 2008) shows neighbourhoods
and nothing else.
"""

from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from accfm.base import shapes
from accfm.base.errors import InputError

METHODS = {"pca": 3000, "tsne": 1000}  # name: most points of a map
KINDS = ("labels/", "attributes/")
OTHERS = ("participant", "condition", "motion_g")


def pca(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The first two principal components of x.

  Args:
    x: [N, D], N and D at least 2.

  Returns:
    (scores [N, 2], shares [2] of the variance). The sign of a component is
    the one that makes its largest weight positive.
  """
  shapes.check(x, "embeddings", "N D")
  x = np.asarray(x, np.float64)
  x = x - x.mean(axis=0)
  sizes, vectors = np.linalg.eigh(x.T @ x)
  axes = vectors[:, :-3:-1]  # the last two, largest first
  axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
  total = max(sizes.sum(), 1e-300)
  return x @ axes, np.maximum(sizes[:-3:-1], 0) / total


def tsne(x: np.ndarray, seed: int = 0) -> np.ndarray:
  """A t-SNE map of x [N, D], started from its principal components: [N, 2].

  It runs in one thread: on busy cores several threads wait for each other
  many times longer than they work.
  """
  import threadpoolctl  # both only here: they take long to import
  from sklearn.manifold import TSNE
  shapes.check(x, "embeddings", "N D")
  made = TSNE(
      init="pca", random_state=seed, perplexity=min(30, (len(x) - 1) / 3)
  )
  with threadpoolctl.threadpool_limits(1):
    return made.fit_transform(np.asarray(x, np.float32))


def column(
    table: Mapping[str, np.ndarray], name: str
) -> tuple[str, np.ndarray]:
  """The column that colours a map.

  Args:
    table: columns of a split.
    name: name of a label, of an attribute or one of OTHERS. "" means heart
      rate; without it, the first label that has numbers; without any, the
      participants.

  Returns:
    (name, [N] numbers or text).

  Raises:
    InputError: there is no such column.
  """
  known = {
      c.removeprefix(kind): c for kind in KINDS for c in table
      if c.startswith(kind)
  } | {c: c for c in OTHERS if c in table}
  if name:
    if name not in known:
      raise InputError(
          f"map_label: got {name!r}, want one of {', '.join(known)}; set "
          "--config.map_label"
      )
    return name, np.asarray(table[known[name]])
  labels = sorted(c for c in table if c.startswith("labels/"))
  labels.sort(key=lambda c: c != "labels/hr_bpm")
  for found in labels:
    values = np.asarray(table[found])
    if values.dtype.kind == "f" and np.isfinite(values).any():
      return found.partition("/")[2], values
  return "participant", np.asarray(table["participant"])


def check(config: ConfigDict, table: Mapping[str, np.ndarray]) -> None:
  """Refuses a map that cannot be drawn, before work starts.

  Args:
    config: `map_label`.
    table: columns of the split under evaluation.

  Raises:
    InputError: an unknown column.
  """
  column(table, config.map_label)
