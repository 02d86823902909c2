"""Health of an embedding: how many dimensions it uses, how it spreads.

The scores of a collapsed encoder look like a weak result; these figures tell
the two apart.
"""

import functools
import sys
from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from accfm.base import interrupts, shapes
from accfm.evals import inputs
from accfm.evals.embedding import cka, maps
from accfm.evals.results import words
from accfm.evals.results.figures import TESTED, Figure, Figures
from accfm.evals.results.outcome import Outcome
from accfm.evals.results.section import (
  Cell,
  Line,
  Notice,
  Plot,
  Section,
  Table,
  number_cell,
)
from accfm.evals.stats.scaling import unit_rows

MIN_RANK = 3.0
MAX_CONSTANT = 0.9
UNIFORMITY_ROWS = 4096
# Columns of the table: measure, head, digits.
COLUMNS = (
    ("effective_rank", "effective rank", 1),
    ("dimensions", "dimensions", 0),
    ("constant_dims_share", "constant dimensions", 3),
    ("alignment", "alignment", 3), ("uniformity", "uniformity", 3),
)


def effective_rank(sizes: np.ndarray) -> float:
  """Smooth effective rank of embeddings.

  exp of the entropy of the singular values normalised to sum 1 (Roy and
  Vetterli, "The effective rank", EUSIPCO 2007; used for embeddings, without
  centring, as RankMe: Garrido et al., ICML 2023).

  Args:
    sizes: [R] singular values, as `spectrum` of [N, D] embeddings.

  Returns:
    Between 1 (all rows on one line) and min(N, D); 0 where all are zero.
  """
  total = sizes.sum()
  if total == 0:
    return 0.0
  p = sizes / total
  p = p[p > 0]
  return float(np.exp(-np.sum(p * np.log(p))))


def spectrum(x: np.ndarray) -> np.ndarray:
  """Singular values of x [N, D], largest first: [min(N, D)]."""
  shapes.check(x, "embeddings", "N D")
  return np.linalg.svd(np.asarray(x, np.float64), compute_uv=False)


def constant_share(x: np.ndarray, tolerance: float = 1e-4) -> float:
  """Share of dimensions whose SD is below `tolerance` of the largest SD.

  Args:
    x: [N, D].
    tolerance: relative to the dimension that varies most.

  Returns:
    1.0 for embeddings that do not vary at all (up to float32 rounding of
    their mean).
  """
  shapes.check(x, "embeddings", "N D")
  x = np.asarray(x, np.float64)
  spread = x.std(axis=0)
  floor = max(tolerance * spread.max(), 1e-6 * np.abs(x).max())
  return float(np.mean(spread <= floor))


def collapsed(rank: float, constant: float) -> bool:
  """Whether embeddings have collapsed.

  They have where their effective rank is below 3, or where more than 90 % of
  the dimensions are constant.
  """
  return rank < MIN_RANK or constant > MAX_CONSTANT


def alignment(x: np.ndarray, y: np.ndarray) -> float:
  """How near the two of a positive pair are.

  The mean of |x - y|^2 over pairs of unit vectors (Wang and Isola,
  "Understanding contrastive representation learning through alignment and
  uniformity on the hypersphere", ICML 2020, arXiv 2005.10242, with alpha = 2).

  Args:
    x, y: [N, D], brought to length 1 here; row i of both is a pair.

  Returns:
    Between 0 (equal) and 4 (opposite); of unrelated vectors about 2.
  """
  shapes.check_all([(x, "embeddings", "N D"), (y, "their partners", "N D")])
  return float(np.mean(np.sum((unit_rows(x) - unit_rows(y)) ** 2, axis=1)))


def uniformity(
    x: np.ndarray, rows: int = UNIFORMITY_ROWS, block: int = 1024
) -> float:
  """How evenly embeddings cover the sphere.

  The log of the mean of exp(-2 |a - b|^2) over all pairs of different rows, as
  unit vectors (Wang and Isola 2020, with t = 2).

  Args:
    x: [N, D], brought to length 1 here, at least two rows.
    rows: exact up to this many rows. Of more rows, this many evenly spaced
      ones are used, the same in every run.
    block: rows per matrix product.

  Returns:
    0 where all rows are equal, about -4 for unrelated directions.
  """
  shapes.check(x, "embeddings", "N D")
  if len(x) > rows:
    x = x[np.linspace(0, len(x) - 1, rows).round().astype(int)]
  x, total = unit_rows(x), 0.0
  sizes = np.sum(x * x, axis=1)
  for at in range(0, len(x), block):
    interrupts.check()
    part = slice(at, at + block)
    apart = sizes[part, None] + sizes[None] - 2 * x[part] @ x.T
    apart[np.arange(len(apart)), np.arange(at, at + len(apart))] = np.inf
    total += np.sum(np.exp(-2 * apart))
  return float(np.log(total / (len(x) * (len(x) - 1))))


def consecutive(
    table: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
  """Pairs of neighbouring segments: each and the next of its recording.

  Args:
    table: `participant`, `session` and `start_s`, [N] each.

  Returns:
    (rows [M], rows [M]) of the first and the second of each pair.
  """
  _, person = np.unique(table["participant"], return_inverse=True)
  _, session = np.unique(table["session"], return_inverse=True)
  order = np.lexsort([table["start_s"], session, person])
  one, two = order[:-1], order[1:]
  same = (person[one] == person[two]) & (session[one] == session[two])
  return one[same], two[same]


def score_health(
    data: inputs.Inputs, cfg: ConfigDict, figures: Figures
) -> Outcome:
  """Adds the health of every encoder of `data`, and warns of a collapse.

  Where an encoder has a partner, alignment and uniformity are those of
  projections: alignment of both encoders' projections of the same segment
  (once, under the encoder under test), uniformity of its own. Without a
  partner they are those of embeddings, and a positive pair is two consecutive
  segments of one recording.

  Args:
    data: what is measured; uses `encoders` and `pairs`.
    cfg: of the map in the report: `map_label`, `map_method`, `seed`.
    figures: to add to.
  """
  for signal, reason in data.absent.items():
    figures.skip(Figure(data.split, "health", signal), reason,
                 measure="effective_rank")
  spectra = {}
  for encoder, matrices in data.encoders.items():
    x = matrices[data.split]
    about = Figure(data.split, "health", encoder)
    sizes = spectra[encoder] = spectrum(x)
    rank, constant = effective_rank(sizes), constant_share(x)
    bad = collapsed(rank, constant)
    figures.add(about, rank, measure="effective_rank",
                headline=encoder == TESTED)
    figures.add(about, x.shape[1], measure="dimensions")
    figures.add(about, constant, measure="constant_dims_share")
    figures.add(about, float(bad), measure="collapsed")
    if bad and encoder != "untrained":
      name = data.student if encoder == TESTED else encoder
      print(
          f"WARNING: the {name} embedding has COLLAPSED: "
          f"effective rank {rank:.1f}, {100 * constant:.0f} % of {x.shape[1]} "
          "dimensions constant; its scores say nothing of the method",
          file=sys.stderr, flush=True,
      )
    _add_spread(data, encoder, x, about, figures)
    if encoder != data.teacher and data.teacher in data.encoders:
      _add_cka(data, x, about, figures)
  return Outcome(functools.partial(
      describe_health, data, cfg, figures, spectra
  ))


def _add_cka(
    data: inputs.Inputs, x: np.ndarray, about: Figure, figures: Figures
) -> None:
  """Adds how alike an encoder and its teacher lay out the segments."""
  measure = f"cka_with_{data.teacher}"
  if len(x) < cka.LEAST:
    figures.skip(
        about, f"{len(x)} windows, want at least {cka.LEAST}", measure=measure)
  else:
    teacher = data.encoders[data.teacher][data.split]
    figures.add(about, cka.linear_cka(x, teacher), measure=measure)


def _add_spread(
    data: inputs.Inputs, encoder: str, x: np.ndarray, about: Figure,
    figures: Figures,
) -> None:
  """Adds alignment and uniformity of one encoder; see `score_health`."""
  other = encoder == data.teacher  # of the pair of the encoder under test
  own = encoder if other else data.student
  pair = data.pairs.get(TESTED if other else encoder)
  if pair is not None and own in pair:
    x = pair[own]
    if own == data.student:
      figures.add(
          about, alignment(x, pair[data.teacher]), measure="alignment")
  else:
    one, two = consecutive(data.table)
    if len(one):
      figures.add(about, alignment(x[one], x[two]), measure="alignment")
    else:
      figures.skip(
          about, "no two windows of one recording", measure="alignment")
  if len(x) < 2:
    figures.skip(about, "1 window, want at least two", measure="uniformity")
  else:
    figures.add(about, uniformity(x), measure="uniformity")


def describe_health(
    data: inputs.Inputs, cfg: ConfigDict, figures: Figures,
    spectra: Mapping[str, np.ndarray],
) -> list[Section]:
  """The section "Embedding": a table, the spectra and a map.

  Args:
    data, cfg: as `score_health`.
    figures: with those of `score_health`.
    spectra: encoder -> singular values [R].
  """
  about = Figure(data.split, "health")
  order = words.in_order(spectra)
  like_teacher = (f"cka_with_{data.teacher}",
                  f"CKA with {words.signal(data.teacher)}", 3)
  used = [column for column in (*COLUMNS, like_teacher) if any(
      figures.value(about, encoder=e, measure=column[0]) is not None
      for e in order)]
  lines = [Line([
      Cell(words.encoder(e), mark=f"{words.DASH} collapsed" if figures.value(
          about, encoder=e, measure="collapsed") else ""),
      *(number_cell(figures.get(about, encoder=e, measure=measure), digits,
                    own=e == TESTED) for measure, _, digits in used),
  ]) for e in order]
  count = len(data.table["participant"])
  parts = [
      Table(["", *(head for _, head, _ in used)], lines),
      Plot("spectra", {"sizes": {e: spectra[e] for e in order}}, (
          f"Singular values of the embeddings of {count:,} windows. A sudden "
          "fall means that later dimensions are hardly used.")),
  ]
  notices = []
  if figures.value(about, measure="collapsed"):
    rank = figures.value(about, measure="effective_rank")
    notices.append(Notice("The embedding has collapsed", (
        f": its effective rank is {words.number(rank, 1)}. No figure below "
        "says what this encoder could learn; look at its training first.")))
  return [Section("Embedding", (
      "How many dimensions the embedding uses, and how it is laid out. A "
      "collapsed embedding gives numbers that look like a weak result."
  ), [*parts, *maps.describe_map(data, cfg)], notices=notices)]
