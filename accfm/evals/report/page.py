"""Assembles `report.html`: one self-contained page, no scripts, no links."""

import json

import numpy as np

from accfm.base import files
from accfm.evals.embedding import projection
from accfm.evals.report import encoder_plots, markup, readings, sections, tables
from accfm.evals.retrieval import windows as candidates
from accfm.evals.stats import scaling

MOST_CARDS = 4


def check(config, table):
  """Raises InputError, before work starts, for what cannot be drawn.

  Args:
    config: `map_label`, `map_method`.
    table: columns of the split under evaluation.
  """
  projection.check(config, table)


def write(path, data, metrics, meta, curves, predictions, examples):
  """Writes the page.

  Args:
    path: the file.
    data: `inputs.Inputs`.
    metrics: `stats.Metrics`.
    meta: plain facts of the run (see `report.facts`).
    curves: what `retrieval.run` returned.
    predictions: what `probe.run` and `direct.run` returned.
    examples: list of (text, svg), from `draw_examples`.
  """
  values = metrics.values
  title = f"accfm: {meta['dataset']} / {meta['split']}"
  files.write_atomic(path, markup.document(title, filter(None, (
      _header(values, meta),
      sections.retrieval(values, meta, curves) if data.pairs else "",
      sections.probes(values, meta, predictions),
      sections.labels(values, meta),
      sections.subgroups(values, meta),
      sections.embedding(data, values, meta),
      sections.privacy(values, meta),
      _examples(examples, meta),
      _appendix(metrics, meta),
  ))))


def _header(values, meta):
  split = meta["split"]
  what = f"{readings.signal(meta['student'])} encoder"
  what = what[0].upper() + what[1:]
  if meta["teacher"]:
    what += f", taught by {readings.signal(meta['teacher'])}"
  unseen = "" if meta["seen"] else ", none of them seen in training"
  out = [
      f"<h1>{markup.escape(what)}</h1><p class=lede>"
      f"{meta['windows'][split]:,} windows of {meta['people'][split]:,} people "
      f"in <i>{markup.escape(meta['dataset'])} / {split}</i>{unseen}. "
      f"Checkpoint step {meta['step']:,}. Intervals are 95 %, by "
      f"{meta['config']['bootstrap_draws']:,} draws of people.</p>"
  ]
  if meta["seen"]:
    out.append(markup.warning(
        f"{len(meta['seen']):,} of these people were seen in training",
        ": nothing here says how the encoder does on others.", loud=True))
  if readings.collapsed(values, split):
    rank = values.get(f"{split}/health/effective_rank")
    out.append(markup.warning("The embedding has collapsed", (
        "" if rank is None else
        f": its effective rank is {markup.number(rank, 1)}"
    ) + ". No figure below says what this encoder could learn; look at its "
        "training first.", loud=True))
  cards = _recall_cards(values, meta) + _probe_cards(values, split)
  return "".join(out) + (
      f"<div class=cards>{''.join(cards[:MOST_CARDS])}</div>")


def _recall_cards(values, meta):
  if not meta["teacher"]:
    return []
  cards, split, pool = [], meta["split"], tables.shown_pool(values, meta)
  for way in tables.ways(meta):
    tail = f"{way[0]}2{way[1]}/recall@1_pool{pool}"
    found = readings.score(values, f"{split}/{tail}")
    if found is None:
      continue
    control = values.get(f"{split}/envelope/{tail}")
    chance = values.get(f"{split}/chance/recall@1_pool{pool}")
    cards.append(markup.card(
        tables.arrow(way), markup.number(found.value, 2),
        markup.span(found.low, found.high, 2),
        f"recall@1 {tables.among(pool)}",
        "" if control is None else f"motion envelope {control:.2f}",
        "" if chance is None else f"chance {chance:.3f}",
    ))
  return cards


def _probe_cards(values, split):
  cards = []
  for task, title, measure, keys in readings.probe_rows(values, split):
    found = readings.score(values, keys.get("", ""))
    if found is None or not measure.startswith("mae") or (
        readings.split_share(task)[1] != 1.0):
      continue
    mean = values.get(keys.get("mean"))
    below = values.get(f"{split}/{task}/mae_below_mean_share")
    cards.append(markup.card(
        f"{title} error", markup.number(found.value, 1)
        + f" <small>{markup.escape(readings.unit_of(measure))}</small>",
        markup.span(found.low, found.high, 1),
        "" if mean is None else f"predict the mean {mean:.1f}",
        "" if below is None else
        f"{abs(100 * below):.0f} % {'below' if below >= 0 else 'above'} it",
    ))
  return cards


def _examples(examples, meta):
  if not examples:
    return ""
  drawn = "".join(markup.figure(svg, text) for text, svg in examples)
  return markup.section("Retrieved pairs", (
      "Queries chosen by rank, the first 15 s of each window; every one is "
      f"sought among all {meta['retrieval_windows']:,} windows."
  ), f"<div class=pairs>{drawn}</div>")


def _appendix(metrics, meta):
  """What could not be evaluated, all metrics, the run's facts."""
  reasons = {}
  for item in metrics.missing:
    reasons.setdefault(item["reason"], []).append(item["key"])
  missing = [markup.row([
      markup.td(markup.escape(reason)), markup.td(f"{len(keys):,}"),
      markup.td(f"<code>{markup.escape(keys[0])}</code>"),
  ]) for reason, keys in reasons.items()]
  every = [markup.row([
      markup.td(f"<code>{markup.escape(key)}</code>"),
      markup.td("not evaluable" if value is None else f"{value:.5g}"),
  ]) for key, value in metrics.values.items()]
  parts = []
  if missing:
    parts.append(markup.details(
        f"Not evaluable: {len(metrics.missing):,} figures",
        markup.table(["reason", "figures", "such as"], missing)))
  facts = markup.escape(json.dumps(meta, indent=1))
  return markup.section(
      "Details", "", *parts,
      markup.details(f"All {len(metrics.values):,} figures",
                     markup.table(["key", "value"], every)),
      markup.details("The run", f"<pre>{facts}</pre>"),
  )


def draw_examples(data, split, count, seed):
  """Draws queries that were found and missed.

  Args:
    data: `inputs.Inputs` with learned pairs.
    split: the open split, to read signals from.
    count: how many; the first half found at rank 1, the rest from the
      nearest miss to the farthest.
    seed: which of the found ones.

  Returns:
    List of (caption, svg).
  """
  if "" not in data.pairs or count < 1:
    return []
  table = data.table
  rows = candidates.thin(
      table["participant"], table["session"], table["start_s"],
      data.window_sec,
  )
  a, b = data.student, data.teacher
  query = scaling.unit_rows(data.pairs[""][a][rows])
  key = scaling.unit_rows(data.pairs[""][b][rows])
  rng = np.random.default_rng(seed)
  some = rng.permutation(len(rows))[:500]
  near = query[some] @ key.T
  rank = 1 + (near > near[np.arange(len(some)), some][:, None]).sum(axis=1)
  found = np.flatnonzero(rank == 1)[:(count + 1) // 2]
  missed = np.flatnonzero(rank > 1)
  missed = missed[np.argsort(rank[missed], kind="stable")]
  spaced = np.linspace(0, len(missed) - 1, count - len(found)).round()
  missed = missed[np.unique(spaced.astype(int))] if len(missed) else []
  out = []
  for i in [*found, *missed]:
    own, top = rows[some[i]], rows[near[i].argmax()]
    batch = split.read(np.array([own, top]), [a, b])
    x = {s: batch[s] * batch[f"{s}_scale"][:, None] for s in (a, b)}
    who = "another person" if (
        table["participant"][own] != table["participant"][top]
    ) else "the same person"
    text = "Found first." if rank[i] == 1 else (
        f"Missed: a minute of {who} came first, the right one"
        f" was at rank {rank[i]}."
    )
    svg = encoder_plots.pair(
        x[a][0], x[b][1], x[b][0] if rank[i] > 1 else None,
        split.contract.rate_hz, (readings.signal(a), readings.signal(b)),
    )
    out.append((text, svg))
  return out
