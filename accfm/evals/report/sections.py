"""Sections of the report, each from the flat metrics and what was drawn from.

A section whose figures are absent is "" and takes no room.
"""

import numpy as np

from accfm.evals.embedding import health, projection
from accfm.evals.report import (
  encoder_plots,
  markup,
  plots,
  probe_plots,
  readings,
  tables,
)
from accfm.evals.stats import agreement, roc
from accfm.evals.stats import bootstrap as stats

MOST_PANELS = 6  # of one attribute's subgroups; tables have all tasks

def retrieval(values, meta, curves):
  """Recall@1 beside what needs no learning, its curves, all else folded."""
  main = tables.retrieval(values, meta)
  if not main:
    return ""
  split, pool = meta["split"], tables.shown_pool(values, meta)
  ways = [("2".join(w), tables.arrow(w)) for w in tables.ways(meta)]
  drawn = [main]
  curves = {r: curves[r] for r in tables.ROWS if r in curves}
  if all(any(f"/{way}" in c for c in curves.values()) for way, _ in ways):
    svg = encoder_plots.retrieval_curves(
        curves, ways, readings.label, tables.among(pool))
    drawn.append(markup.figure(svg, (
        f"Recall@k {tables.among(pool)}, the mean over all pools of "
        f"{meta['retrieval_windows']:,} windows of {meta['people'][split]:,} "
        "people."
    )))
  sizes = _by_pool(values, meta)
  if len({s for by in sizes.values() for x in by.values() for s, _ in x}) > 2:
    svg = encoder_plots.pool_sizes(sizes, ways, readings.label)
    drawn.append(markup.figure(svg, (
        "The larger the pool, the harder: recall@1 by the number of windows "
        "to choose from. Bands are 95 % intervals over people."
    )))
  return markup.section("Retrieval", (
      "From one signal of a minute, find the other signal of the same "
      "minute. Recall@1 is the share found first, the mean over all pools of "
      "non-overlapping windows; ties count as misses. An encoder has shown "
      "nothing until it beats the motion envelope, which learns nothing."
  ), *drawn, tables.retrieval_details(values, meta))


def _by_pool(values, meta):
  """row -> direction -> [(pool size, Score)] of recall@1, all windows."""
  out = {}
  for row in tables.ROWS[:-1]:
    for way in tables.ways(meta):
      way = "2".join(way)
      for pool in tables.pools(meta):
        found = readings.score(values, readings.key(
            meta["split"], row, way, f"recall@1_pool{pool}"))
        if found is not None:
          size = meta["retrieval_windows"] if pool == "all" else pool
          out.setdefault(row, {}).setdefault(way, []).append((size, found))
  return out


def probes(values, meta, predictions):
  """Tables of the probes, agreement of one label, ROC curves of classes."""
  split = meta["split"]
  main = tables.probes(values, split)
  if not main:
    return ""
  whole = [p for p in predictions if readings.split_share(p.task)[1] == 1.0]
  folds = meta["config"]["probe_folds"]
  who = f", and on the other unseen people in {folds} folds," if folds else ""
  return markup.section(
      "Probes", (
          "One linear model on the frozen embedding, fitted on the training "
          f"people{who} and scored on these. Numbers are mean absolute "
          "errors, lower is better; for classes the area under the ROC curve."
      ), main, tables.probe_details(values, split), _agreement(whole, meta),
      _roc(whole, values, meta),
  )


def _people(found, meta):
  """The people behind predictions, drawn as everywhere."""
  config = meta["config"]
  return stats.People(
      found.rows["participant"], config["bootstrap_draws"], config["seed"])


def hr_first(predictions):
  """The regression to draw: heart rate if it was probed, else the first."""
  numeric = [p for p in predictions if p.unit not in ("log_odds", "class")
             and np.asarray(p.true).dtype.kind == "f" and "" in p.predicted]
  numeric.sort(key=lambda p: p.task.removeprefix("direct_") != "hr")
  return numeric[0] if numeric else None


def _agreement(predictions, meta):
  best = hr_first(predictions)
  if best is None:
    return ""
  people = _people(best, meta)
  true, predicted = best.true, best.predicted[""]
  found = agreement.limits(people, true, predicted)
  name = readings.task_title(best.task, best.unit)
  shown = plots.some(len(true))
  svg = probe_plots.agreement(
      true[shown], predicted[shown], found, best.unit, name)
  unit = f" {best.unit}" if best.unit else ""

  def say(one):
    span = markup.span(one.low, one.high, 1)
    return markup.number(one.value, 1) + unit + (f" ({span})" if span else "")

  what = f"{len(people):,} people"
  if set(best.rows) != {"participant"}:  # else a row is a person
    what = f"{len(true):,} windows of {what}"
  return markup.figure(svg, (
      f"{name} of {what}, each "
      f"predicted by a model that never saw them. Bias {say(found.bias)}, "
      f"95 % limits of agreement {say(found.lower)} and {say(found.upper)}; "
      "bands and brackets are 95 % intervals over people."
      + plots.said(len(shown), len(true))
  ))


def _roc(predictions, values, meta):
  panels = []
  for p in predictions:
    if p.unit != "log_odds" or not {0, 1} == set(np.unique(p.true)):
      continue
    people = _people(p, meta)
    task = p.task if p.task.startswith("direct_") else f"probe_{p.task}"
    auc = readings.score(values, f"{meta['split']}/{task}/auc")
    text = ""
    if auc is not None:
      span = markup.span(auc.low, auc.high, 2)
      text = f"AUC {auc.value:.2f}" + (f" ({span})" if span else "")
    shown = [r for r in readings.in_order(p.predicted)
             if r not in ("untrained", "mean")]
    panels.append((readings.task_title(task), text, {
        r: roc.curve(people, p.true, p.predicted[r], band=r == "")
        for r in shown
    }))
  if not panels:
    return ""
  return markup.figure(
      probe_plots.roc(panels, readings.label), (
          "ROC curves of the classes. The band holds the middle 95 % of the "
          "curves of this encoder over draws of people; brackets are 95 % "
          "intervals of the area."
      ))


def labels(values, meta):
  """How errors grow as fewer people are labelled."""
  curves = readings.label_curves(values, meta["split"])
  if not curves:
    return ""
  svg = probe_plots.label_curves(curves, plots.line, readings.label)
  draws = {n for one in curves for n in one.draws.values()}
  averaged = (
      f" Shares below 100 % are the mean of {max(draws)} draws of people."
      if draws and max(draws) > 1 else "")
  return markup.section("Fewer labels", (
      "The same probes, fitted on a share of the labelled people. An encoder "
      "that has learned the label's physiology needs few of them."
  ), markup.figure(svg, (
      "Error by the share of labelled people, "
      "their number under it where known. Band and whiskers are 95 % "
      "intervals over the people scored." + averaged
  )), tables.label_curves(curves))


def group_title(value, people):
  """A group and how many people it has."""
  text = readings.group_title(value)
  return text if people is None else f"{text} ({people:,})"


def subgroups(values, meta):
  """Whom the encoder serves worse: errors by group, and the worst gap."""
  found = {}
  for one in readings.subgroups(values, meta["split"]):
    found.setdefault(one.name, []).append(one)
  parts = []
  for name, several in found.items():
    drawn = [o for o in several  # a group alone has nobody beside it
             if sum(g[1] is not None for g in o.groups) > 1]
    if not drawn:
      continue
    text = (
        "Numbers of people in brackets; thin lines are 95 % intervals over "
        "people, the dashed line is everybody.")
    shown = drawn[:MOST_PANELS]
    if len(shown) < len(drawn):
      text += f" More tasks in the table: {len(drawn) - len(shown)}."
    parts.append(
        f"<h3>By {markup.escape(readings.task_title(name))}</h3>"
        + markup.figure(probe_plots.subgroups(shown, group_title), text)
        + tables.subgroups(several, group_title))
  if not parts:
    return ""
  return markup.section("Subgroups", (
      "The same predictions, scored in groups. Where intervals lie apart, the "
      "encoder serves somebody worse. The worst gap is the largest score minus "
      "the smallest: it and its interval lie above zero even where groups are "
      "served alike, the more so the fewer people they have."
  ), *parts)


def embedding(data, values, meta):
  """Health of the embedding, its spectrum, its map."""
  split = data.split
  sizes = {
      row: health.spectrum(data.encoders[row][split])
      for row in readings.in_order(data.encoders)
  }
  svg = encoder_plots.spectra(sizes, readings.label)
  rows = len(data.table["participant"])
  return markup.section("Embedding", (
      "How many dimensions the embedding uses, and how it is laid out. A "
      "collapsed embedding gives numbers that look like a weak result."
  ), tables.health(values, split), markup.figure(
      svg, f"Singular values of the embeddings of {rows:,} windows. A sudden "
      "fall means that later dimensions are hardly used."
  ), _map(data, values, meta["config"]))


def _map(data, values, config):
  """The map of this encoder and, beside it, of an untrained one."""
  method = config["map_method"]
  rows = len(data.table["participant"])
  if rows < 10 or "" not in data.encoders:
    return ""
  name, known = projection.column(data.table, config["map_label"])
  shown = plots.some(rows, projection.METHODS[method])
  maps, names = {}, {}
  for row in ("", "untrained"):
    if row not in data.encoders or (method == "tsne" and row):
      continue
    x, title = data.encoders[row][data.split], readings.label(row)
    if x.shape[1] < 2:
      continue
    if method == "tsne":
      maps[title], names[title] = projection.tsne(
          x[shown], config["seed"]), ("", "")
    else:
      scores, shares = projection.pca(x)
      maps[title] = scores[shown]
      names[title] = tuple(
          f"component {i + 1} ({100 * s:.0f} %)" for i, s in enumerate(shares)
      )
  if not maps:
    return ""
  title = label_title(values, data.split, name)
  people = name == "participant"  # whom a page never names
  svg = encoder_plots.embedding_map(
      maps, names, known[shown], title, named=not people)
  how = {
      "pca": "The first two principal components, with their share of the "
             "variance.",
      "tsne": "A t-SNE map: neighbours are near in the embedding, distances "
              "and sizes of clusters mean nothing.",
  }[method]
  if known.dtype.kind == "f":
    how += " Colours end at the 2nd and 98th percentile."
  if people:
    how += " Each colour is one person, grey all others."
  return markup.figure(svg, (
      f"Embeddings of windows, coloured by {title}. {how}"
      + plots.said(len(shown), rows)
  ))


def label_title(values, split, name):
  """`hr_bpm` -> "HR (bpm)", by the probe of that label if there is one."""
  for task, title, measure, _ in readings.probe_rows(values, split):
    unit = readings.unit_of(measure) if measure.startswith("mae") else ""
    if "_".join(filter(None, (task, unit))) == f"probe_{name}":
      return title + (f" ({unit})" if unit else "")
  return readings.task_title(name)


def privacy(values, meta):
  """Whether an embedding gives its person away."""
  main = tables.reidentify(values, meta["split"])
  if not main:
    return ""
  return markup.section("Privacy", (
      "Whether a window's embedding finds its own person among all others: if "
      "it does, embeddings identify people as a fingerprint does, and need "
      "the same protection as the recordings. A window's own time is left out."
  ), main)
