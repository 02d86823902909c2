"""A map of embeddings for the report: what is drawn, and what the caption says.
"""

from ml_collections import ConfigDict

from accfm.evals import inputs
from accfm.evals.embedding import projection
from accfm.evals.results import words
from accfm.evals.results.figures import TESTED
from accfm.evals.results.section import Plot, pick_points, say_picked

LEAST_SEGMENTS = 10
HOW = {
    "pca": "The first two principal components, with their share of the "
           "variance.",
    "tsne": "A t-SNE map: neighbours are near in the embedding, distances "
            "and sizes of clusters mean nothing.",
}


def describe_map(data: inputs.Inputs, cfg: ConfigDict) -> list[Plot]:
  """The map of the encoder under test and, beside it, of an untrained one.

  Args:
    data: with `encoders`.
    cfg: `map_label`, `map_method`, `seed`.

  Returns:
    One Plot, or none for few segments or embeddings of one dimension.
  """
  count = len(data.table["participant"])
  if count < LEAST_SEGMENTS:
    return []
  rows = pick_points(count, projection.METHODS[cfg.map_method])
  # t-SNE is slow, so it is made of one encoder.
  encoders = (TESTED,) if cfg.map_method == "tsne" else (TESTED, "untrained")
  maps, axes = {}, {}
  for encoder in encoders:
    if encoder not in data.encoders:
      continue
    x, title = data.encoders[encoder][data.split], words.encoder(encoder)
    if x.shape[1] < 2:
      continue
    if cfg.map_method == "tsne":
      maps[title] = projection.tsne(x[rows], cfg.seed)
      axes[title] = ("", "")
      continue
    places, shares = projection.pca(x)
    maps[title] = places[rows]
    axes[title] = tuple(
        f"component {i + 1} ({100 * s:.0f} %)" for i, s in enumerate(shares)
    )
  if not maps:
    return []
  label, values = projection.column(data.table, cfg.map_label)
  name, unit = words.split_unit(label)
  title = words.in_brackets(words.target(name, unit), unit)
  people = label == "participant"  # whom a page never names
  caption = HOW[cfg.map_method]
  if values.dtype.kind == "f":
    caption += " Colours end at the 2nd and 98th percentile."
  if people:
    caption += " Each colour is one person, grey all others."
  return [Plot("embedding_map", {
      "maps": maps, "names": axes, "values": values[rows], "name": title,
      "named": not people,
  }, (
      f"Embeddings of windows, coloured by {title}. {caption}"
      + say_picked(len(rows), count)
  ))]
