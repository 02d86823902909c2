"""Assembles `report.html`: one self-contained page, no scripts, no links."""

import html
import json

import numpy as np

from accfm.base import files
from accfm.evals import candidates, health, plots, ranks, report

_CSS = """
:root { --ink:#16191f; --soft:#5c6573; --line:#e1e5ea; --page:#fbfbfa;
  --card:#ffffff; --mark:#2f7fd1; --warn:#fff3e0; --warnline:#e0852f; }
@media (prefers-color-scheme: dark) { :root { --ink:#e8eaee; --soft:#9aa3b2;
  --line:#2b313b; --page:#14171c; --card:#1a1e25; --mark:#6cabec;
  --warn:#33281a; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--page); color:var(--ink); font:15px/1.55
  system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif; }
main { max-width:880px; margin:0 auto; padding:44px 28px 80px; }
h1 { font-size:27px; line-height:1.2; margin:0 0 6px; letter-spacing:-.015em; }
h2 { font-size:18px; margin:46px 0 4px; letter-spacing:-.01em; }
p { margin:6px 0 14px; max-width:70ch; }
.lede,figcaption,.note,small { color:var(--soft); }
.lede { font-size:15px; } .note,figcaption { font-size:13px; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(190px,1fr));
  gap:12px; margin:24px 0 8px; }
.card { background:var(--card); border:1px solid var(--line);
  border-radius:10px; padding:14px 16px; }
.card b { display:block; font-size:29px; line-height:1.15; font-weight:650;
  letter-spacing:-.02em; font-variant-numeric:tabular-nums; }
.card span { display:block; font-size:13px; color:var(--soft); }
.card .what { color:var(--ink); font-weight:600; margin-bottom:4px; }
.warn { background:var(--warn); border-left:4px solid var(--warnline);
  padding:10px 14px; border-radius:4px; margin:16px 0; }
.scroll { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-size:13.5px; margin:12px 0;
  font-variant-numeric:tabular-nums; }
th,td { padding:6px 10px 6px 0; text-align:right; vertical-align:baseline;
  border-bottom:1px solid var(--line); white-space:nowrap; }
th { font-weight:600; color:var(--soft); font-size:12.5px; }
th:first-child,td:first-child { text-align:left; white-space:normal; }
td.main { font-weight:650; }
td small { display:block; font-size:11.5px; font-weight:400; }
tr.group td { padding-top:16px; font-weight:600; }
figure { margin:16px 0 6px; } figure svg { width:100%; height:auto; }
.pairs { display:grid; gap:6px 26px;
  grid-template-columns:repeat(auto-fit,minmax(340px,1fr)); }
details { margin:10px 0; } summary { cursor:pointer; color:var(--soft); }
code,pre { font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace; }
pre { overflow-x:auto; background:var(--card); border:1px solid var(--line);
  border-radius:8px; padding:12px 14px; }
"""
_ROWS = ("", "envelope", "untrained", "chance")
_VARIANTS = (
    ("", "all windows"), ("still", "stiller half"),
    ("control_fails", "pairs that the motion envelope does not find"),
    ("still/control_fails", "stiller half, envelope does not find"),
    ("within_person", "within one person"),
)


def write(path, data, metrics, meta, curves, predictions, examples):
  """Writes the page.

  Args:
    path: the file.
    data: `inputs.Inputs`.
    metrics: `stats.Metrics`.
    meta: plain facts of the run (see `accfm.evaluate`).
    curves: what `retrieval.run` returned.
    predictions: what `probe.run` returned.
    examples: list of (text, svg), from `draw_examples`.
  """
  body = [_header(metrics.values, meta)]
  if data.pairs:
    body += _retrieval(metrics.values, meta, curves)
  body += _probes(metrics.values, meta, predictions)
  body += _spectrum(data, metrics.values)
  if examples:
    drawn = "".join(
        f"<figure>{svg}<figcaption>{html.escape(text)}</figcaption></figure>"
        for text, svg in examples
    )
    body.append(
        "<h2>Retrieved pairs</h2><p class=note>Queries chosen by rank, the "
        f"first 15 s of each window; every one is sought among all "
        f"{meta['retrieval_windows']} windows.</p>"
        f"<div class=pairs>{drawn}</div>"
    )
  body += _appendix(metrics, meta)
  title = html.escape(f"accfm: {meta['dataset']} / {meta['split']}")
  files.write_atomic(path, (
      "<!doctype html><html lang=en><head><meta charset=utf-8>"
      "<meta name=viewport content='width=device-width'>"
      f"<title>{title}</title><style>{_CSS}</style></head><body><main>"
      + "\n".join(body) + "</main></body></html>\n"
  ))


def _key(*parts):
  return "/".join(filter(None, parts))


def _interval(values, key, digits):
  low, high = (values.get(f"{key}_ci95_{end}") for end in ("low", "high"))
  if low is None:
    return ""
  return f"{low:.{digits}f} to {high:.{digits}f}"


def _cell(values, key, digits=3, css=""):
  """A table cell: the number and, below it, its interval."""
  text = report.number(values.get(key), digits)
  span = _interval(values, key, digits)
  below = f"<small>{span}</small>" if span else ""
  return f"<td{css and f' class={css}'}>{text}{below}</td>"


def _card(what, value, *lines):
  spans = "".join(f"<span>{html.escape(x)}</span>" for x in lines if x)
  return (
      f"<div class=card><span class=what>{html.escape(what)}</span>"
      f"<b>{value}</b>{spans}</div>"
  )


def _header(values, meta):
  split = meta["split"]
  what = f"{meta['student']} encoder"
  if meta["teacher"]:
    what += f", taught by {meta['teacher']}"
  out = [
      f"<h1>{html.escape(what)}</h1><p class=lede>"
      f"{meta['windows'][split]:,} windows of {meta['people'][split]} people "
      f"in <i>{html.escape(meta['dataset'])} / {split}</i>, none of them seen "
      f"in training. Checkpoint step {meta['step']:,}. Intervals are 95 %, by "
      f"{meta['config']['bootstrap_draws']:,} draws of people.</p>"
  ]
  if meta["seen"]:
    out = [out[0].replace(", none of them seen in training", "")]
    out.append(
        f"<div class=warn><b>{len(meta['seen'])} of these people were seen "
        "in training</b>: nothing here says how the encoder does on others."
        "</div>"
    )
  rank = values.get(f"{split}/health/effective_rank")
  if rank is not None and rank < 3:
    out.append(
        "<div class=warn><b>The embedding has collapsed</b>: its effective "
        f"rank is {rank:.1f}.</div>"
    )
  cards = []
  pool = meta["pools"][0]
  for a, b in ((meta["student"], meta["teacher"]),
               (meta["teacher"], meta["student"])):
    key = f"{split}/{a}2{b}/recall@1_pool{pool}"
    if meta["teacher"] and values.get(key) is not None:
      control = values.get(
          f"{split}/envelope/{a}2{b}/recall@1_pool{pool}")
      cards.append(_card(
          f"recall@1, {a} \u2192 {b}", f"{values[key]:.2f}",
          _interval(values, key, 2),
          f"in a pool of {pool}; chance {1 / pool:.3f}",
          "" if control is None else f"motion envelope {control:.2f}",
      ))
  for task, title, measure, keys in report.probe_rows(values, split)[:3]:
    if "" in keys and measure.startswith("mae_") and (
        values[keys[""]] is not None):
      unit = measure.removeprefix("mae_")
      mean = values.get(keys.get("mean"))
      below = values.get(f"{split}/{task}/mae_below_mean_share")
      cards.append(_card(
          f"{title} error", f"{values[keys['']]:.1f} <small>{unit}</small>",
          _interval(values, keys[""], 1),
          "" if mean is None else f"predict the mean {mean:.1f}",
          "" if below is None else f"{abs(100 * below):.0f} % "
          f"{'below' if below >= 0 else 'above'} it",
      ))
  return "".join(out) + f"<div class=cards>{''.join(cards)}</div>"


def _retrieval(values, meta, curves):
  """The retrieval section: table of recall@1, curves."""
  split, pools = meta["split"], [*meta["pools"], "all"]
  ways = [(meta["student"], meta["teacher"])]
  ways.append(ways[0][::-1])
  names = {"": "encoder", "chance": "chance"}
  head = "".join(
      f"<th>{names.get(r, report.label(r))}</th>" for r in _ROWS)
  lines = []
  for variant, title in _VARIANTS:
    found = []
    sizes = {"": pools, "within_person": [meta["config"]["within_pool"], "all"]}
    for pool in sizes.get(variant, pools[:-1]):
      tail = f"recall@1_pool{pool}"
      for a, b in ways:
        keys = [_key(split, row, variant, f"{a}2{b}", tail) for row in _ROWS]
        base = variant.replace("control_fails", "").strip("/")
        keys[-1] = _key(split, base, "chance", tail)
        if all(values.get(k) is None for k in keys[:-1]):
          continue
        cells = "".join(
            _cell(values, k, css="main" if i == 0 else "")
            for i, k in enumerate(keys)
        )
        rank = values.get(keys[0].replace("recall@1", "mean_rank"))
        size = "all" if pool == "all" else pool
        found.append(
            f"<tr><td>{a} \u2192 {b}, pool {size}</td>{cells}"
            f"<td>{report.number(rank, 1)}</td></tr>"
        )
    if found:
      n = values.get(_key(split, variant, "windows"))
      n = values.get(f"{split}/retrieval/windows") if variant == "" else n
      share = values.get(_key(
          split, variant, f"{ways[0][0]}2{ways[0][1]}",
          f"share_pool{pools[0]}"))
      note = f", {n:.0f} windows" if n else ""
      note += f", {100 * share:.0f} % of pairs" if share is not None else ""
      lines.append(
          f"<tr class=group><td colspan=6>{title}<small>"
          f"{note.strip(', ')}</small></td></tr>" + "".join(found)
      )
  out = [
      "<h2>Retrieval</h2><p>From one signal of a minute, find the other "
      "signal of the same minute. Recall@1 is the share found first, the "
      "mean over all pools of non-overlapping windows; ties count as "
      "misses.</p><div class=scroll><table><tr><th>recall@1</th>"
      f"{head}<th>mean rank</th></tr>{''.join(lines)}</table></div>"
  ]
  if curves and any("/" + f"{a}2{b}" in c for c in curves.values()
                    for a, b in ways):
    svg = plots.retrieval_curves(
        curves, [(f"{a}2{b}", f"{a} \u2192 {b}") for a, b in ways],
        report.label, meta["pools"][0],
    )
    out.append(
        f"<figure>{svg}<figcaption>Recall@k at pool {meta['pools'][0]}, "
        f"{meta['retrieval_windows']} windows of "
        f"{meta['people'][split]} people.</figcaption></figure>"
    )
  return out


def _probes(values, meta, predictions):
  """The probe section: tables, agreement plots, bars."""
  split = meta["split"]
  tables = report.probe_rows(values, split)
  if not tables:
    return []
  order = ["", "features", "untrained", "mean"]
  order[1:1] = sorted(
      {r for *_, keys in tables for r in keys} - set(order))
  head = "".join(f"<th>{report.label(r)}</th>" for r in order)
  lines = []
  for task, title, measure, keys in tables:
    if all(values.get(k) is None for k in keys.values()):
      continue
    cells = "".join(
        _cell(values, keys[r], 2, "main" if r == "" else "")
        if r in keys else "<td>\u2013</td>" for r in order
    )
    windows = values.get(f"{split}/{task}/windows")
    people = values.get(f"{split}/{task}/people") or 0
    counts = f"{people:.0f} people"
    if windows is not None:
      counts = f"{windows:.0f} windows, " + counts
    unit = measure.removeprefix("mae").strip("_")
    unit = "AUC" if unit == "auc" else unit
    lines.append(
        f"<tr><td>{html.escape(title)} {unit and f'({unit})'}"
        f"<small>{counts}</small></td>{cells}</tr>"
    )
  folds = meta["config"]["probe_folds"]
  who = f", and on the other unseen people in {folds} folds," if folds else ""
  out = [
      "<h2>Probes</h2><p>One linear model on the frozen embedding, fitted on "
      f"the training people{who} and scored on these. Mean absolute error; for "
      "classes the area under the ROC curve.</p><div class=scroll><table>"
      f"<tr><th></th>{head}</tr>{''.join(lines)}</table></div>"
  ]
  best = report.hr_first(predictions)
  if best is not None:
    n = len(best.true)
    who = len(np.unique(best.rows["participant"]))
    name = "HR" if best.task == "hr" else best.task.upper()
    svg = plots.agreement(best.true, best.predicted[""], best.unit, name)
    out.append(
        f"<figure>{svg}<figcaption>{name} of {n} windows of {who} people, "
        "each predicted by a probe that never saw them.</figcaption></figure>"
    )
  return out


def _spectrum(data, values):
  sizes = {
      row: health.spectrum(parts[data.split])
      for row, parts in data.encoders.items()
  }
  text = "; ".join(
      f"{report.label(row)} "
      f"{health.effective_rank(parts[data.split]):.1f} of "
      f"{parts[data.split].shape[1]}"
      for row, parts in data.encoders.items()
  )
  svg = plots.spectra(sizes, report.label)
  n = len(data.table["participant"])
  return [
      "<h2>Health of the embedding</h2>"
      f"<figure>{svg}<figcaption>Singular values of {n} embeddings. Smooth "
      f"effective rank: {html.escape(text)}.</figcaption></figure>"
  ]


def _appendix(metrics, meta):
  """What could not be evaluated, all metrics, the run's facts."""
  reasons = {}
  for item in metrics.missing:
    reasons.setdefault(item["reason"], []).append(item["key"])
  missing = "".join(
      f"<tr><td>{html.escape(reason)}</td><td>{len(keys)}</td>"
      f"<td><code>{html.escape(keys[0])}</code></td></tr>"
      for reason, keys in reasons.items()
  )
  every = "".join(
      f"<tr><td><code>{html.escape(key)}</code></td><td>"
      f"{'not evaluable' if value is None else f'{value:.5g}'}</td></tr>"
      for key, value in metrics.values.items()
  )
  facts = json.dumps(meta, indent=1)
  out = ["<h2>Details</h2>"]
  if missing:
    out.append(
        f"<details><summary>Not evaluable: {len(metrics.missing)} figures"
        "</summary><table><tr><th>reason</th><th>figures</th><th>such as</th>"
        f"</tr>{missing}</table></details>"
    )
  out.append(
      f"<details><summary>All {len(metrics.values)} figures</summary>"
      f"<table>{every}</table></details><details><summary>The run</summary>"
      f"<pre>{html.escape(facts)}</pre></details>"
  )
  return out


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
  query = ranks.unit_rows(data.pairs[""][a][rows])
  key = ranks.unit_rows(data.pairs[""][b][rows])
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
    svg = plots.pair(
        x[a][0], x[b][1], x[b][0] if rank[i] > 1 else None,
        split.contract.rate_hz, (a, b),
    )
    out.append((text, svg))
  return out
