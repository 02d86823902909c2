"""Tables of the report: few figures in the open, all others within reach."""

from accfm.evals.report import markup, readings

# A probe's first measure stands in the main table, these in its details.
MEASURES = {
    "Numbers": {"rmse": "RMSE", "r2": "R\u00b2", "pearson_r": "Pearson r"},
    "Classes": {"average_precision": "average precision",
                "balanced_accuracy": "balanced accuracy"},
}
VARIANTS = {
    "": "all windows",
    "not_adjacent": "without the query's neighbours in time",
    "other_people": "among other people's windows",
    "still": "stiller half",
    "control_fails": "pairs that the motion envelope does not find",
    "still/control_fails": "stiller half, envelope does not find",
    "within_person": "within one person",
}
# These in the details alone.
MORE_VARIANTS = {
    f"{v}/control_fails": f"{VARIANTS[v]}, envelope does not find"
    for v in ("not_adjacent", "other_people", "within_person")
}
RULES = {  # of re-identification, by the end of their keys
    "": "all who can be found", "_other_sessions": "in another session",
    "_same_session": "at another time of the same session",
}
ROWS = ("", "envelope", "untrained", "chance")


def pools(meta):
  """Pool sizes of a run, "all" at the end."""
  return [*meta["pools"], "all"]


def ways(meta):
  """Both directions: [(from, to)] of signal names."""
  pair = meta["student"], meta["teacher"]
  return [pair, pair[::-1]]


def arrow(way):
  """A direction for people."""
  return " \u2192 ".join(map(readings.signal, way))


def _recall_keys(split, variant, way, tail):
  """row -> key; chance does not depend on a direction or a control."""
  keys = {
      row: readings.key(split, row, variant, f"{way[0]}2{way[1]}", tail)
      for row in ROWS
  }
  plain = variant.replace("control_fails", "").strip("/")
  keys["chance"] = readings.key(split, plain, "chance", tail)
  return keys


def shown_pool(values, meta, variant=""):
  """The first pool size that was evaluable, None where none was."""
  split, sizes = meta["split"], pools(meta)
  if variant.startswith("within_person"):
    sizes = [meta["config"]["within_pool"], "all"]
  for pool in sizes:
    for way in ways(meta):
      keys = _recall_keys(split, variant, way, f"recall@1_pool{pool}")
      if any(values.get(keys[r]) is not None for r in ROWS[:-1]):
        return pool
  return None


def among(pool):
  """`256` -> "among 256"."""
  return "among all" if pool == "all" else f"among {int(pool):,}"


def retrieval(values, meta):
  """Recall@1 at the first pool size: variants by directions and rows."""
  split, lines = meta["split"], []
  rows = [r for r in ROWS[:-1] if r == "" or any(
      name.startswith(f"{split}/{r}/") and "/recall@1" in name
      for name in values)]
  for variant, title in VARIANTS.items():
    pool = shown_pool(values, meta, variant)
    if pool is None:
      continue
    keys = [_recall_keys(split, variant, way, f"recall@1_pool{pool}")
            for way in ways(meta)]
    lines.append(markup.row([
        markup.td(markup.escape(title),
                  _variant_note(values, meta, variant, pool)),
        *(markup.cell(values, k[r], 3, main=r == "")
          for k in keys for r in rows),
        markup.cell(values, keys[0]["chance"], 3),
    ]))
  if not lines:
    return ""
  short = {"": "this encoder", "envelope": "motion envelope",
           "untrained": "untrained"}
  return markup.table(
      ["recall@1", *(short[r] for _ in ways(meta) for r in rows), "chance"],
      lines, over=[("", 1), *((arrow(w), len(rows)) for w in ways(meta)),
                   ("", 1)],
  )


def _variant_note(values, meta, variant, pool):
  split, notes = meta["split"], [among(pool)]
  windows = values.get(readings.key(split, variant or "retrieval", "windows"))
  if windows is not None:
    notes.append(f"{windows:,.0f} windows")
  first = "2".join(ways(meta)[0])
  share = values.get(readings.key(split, variant, first, f"share_pool{pool}"))
  if share is not None:
    notes.append(f"{100 * share:.0f} % of pairs")
  return ", ".join(notes)


def retrieval_details(values, meta):
  """Every k, every pool: a table for each variant, folded."""
  split, out = meta["split"], []
  for variant, title in (VARIANTS | MORE_VARIANTS).items():
    columns = _columns(values, split, variant, meta)
    lines = []
    for way in ways(meta):
      for row in ROWS[:-1]:
        prefix = readings.key(split, row, variant, f"{way[0]}2{way[1]}")
        found = []
        for pool in columns["pools"]:
          keys = [f"{prefix}/{m}_pool{pool}" for m in columns["measures"]]
          if all(values.get(k) is None for k in keys):
            continue
          found.append(markup.row([markup.td(among(pool)), *(
              markup.cell(values, k, 1 if "rank" in k else 3) for k in keys
          )]))
        if found:
          head = f"{arrow(way)}, {readings.label(row)}"
          lines += [
              markup.group(head, "", 1 + len(columns["measures"])), *found
          ]
    if lines:
      heads = [m.replace("_", " ") for m in columns["measures"]]
      out.append(f"<h3>{markup.escape(title.capitalize())}</h3>"
                 + markup.table(["", *heads], lines))
  return markup.details("All recalls, ranks and pools", *out)


def _columns(values, split, variant, meta):
  """Which measures and pools a variant has, in order."""
  starts = {
      readings.key(split, row, variant, f"{a}2{b}")
      for a, b in ways(meta) for row in ROWS
  }
  measures, sizes = set(), set()
  for name in values:
    start, _, measure = name.rpartition("/")
    measure, _, pool = measure.partition("_pool")
    if start in starts and (pool == "all" or pool.isdigit()) and (
        measure.startswith("recall@") or measure.endswith("_rank")
    ):
      measures.add(measure)
      sizes.add(pool)
  recalls = sorted(
      (m for m in measures if m.startswith("recall@")),
      key=lambda m: int(m.partition("@")[2]),
  )
  return {
      "measures": recalls + sorted(measures - set(recalls)),
      "pools": sorted(
          sizes, key=lambda p: float("inf") if p == "all" else int(p)),
  }


def _counts(values, split, task):
  windows = values.get(f"{split}/{task}/windows")
  people = values.get(f"{split}/{task}/people")
  notes = [] if windows is None else [f"{windows:,.0f} windows"]
  notes += [] if people is None else [f"{people:,.0f} people"]
  return ", ".join(notes)


def probes(values, split):
  """The first measure of each task: tasks by rows."""
  tables = [
      one for one in readings.probe_rows(values, split)
      if readings.split_share(one[0])[1] == 1.0
      and any(values[k] is not None for k in one[3].values())
  ]
  order = readings.in_order(r for *_, keys in tables for r in keys)
  lines = []
  for task, title, measure, keys in tables:
    unit = readings.unit_of(measure)
    name = markup.escape(title + (f" ({unit})" if unit else ""))
    lines.append(markup.row([
        markup.td(name, _counts(values, split, task)),
        *(markup.cell(values, keys.get(r, ""), 2, main=r == "")
          for r in order),
    ]))
  heads = ["", *(readings.label(r) for r in order)]
  return markup.table(heads, lines) if lines else ""


def probe_details(values, split):
  """Other measures of every task and row, folded; "" where there are none."""
  out = []
  for title, measures in MEASURES.items():
    heads, lines = {}, []
    for task, name, measure, keys in readings.probe_rows(values, split):
      if readings.split_share(task)[1] != 1.0:
        continue
      unit = readings.unit_of(measure) if measure.startswith("mae") else ""
      found = {}
      for row in readings.in_order(keys):
        prefix = readings.key(split, row, task)
        for measure, head in measures.items():
          full = f"{prefix}/{measure}"
          full += f"_{unit}" if unit and measure == "rmse" else ""
          if values.get(full) is not None:
            found.setdefault(row, {})[head] = full
            heads[head] = None
      if found:
        lines.append((name, f"RMSE in {unit}" if unit else "", found))
    heads = [h for h in measures.values() if h in heads]
    body = []
    for name, note, found in lines:
      body.append(markup.group(name, note, 1 + len(heads)))
      body += [markup.row([
          markup.td(readings.label(row)),
          *(markup.cell(values, by.get(h, ""), 2) for h in heads),
      ]) for row, by in found.items()]
    if body:
      out.append(f"<h3>{title}</h3>" + markup.table(["", *heads], body))
  return markup.details("Other measures of the probes", *out) if out else ""


def label_curves(curves, label=readings.label):
  """The figures behind `readings.LabelCurve`s, folded.

  Args:
    curves: LabelCurves.
    label: row -> text.
  """
  out = []
  for one in curves:
    heads = ["labelled people", *(f"{100 * s:g} %" for s in one.shares)]
    lines = []
    if one.people:
      lines.append(markup.row([markup.td("<i>people fitted on</i>"), *(
          markup.td(f"{one.people[s]:,}" if s in one.people else "\u2013")
          for s in one.shares
      )]))
    for row, by in one.rows.items():
      lines.append(markup.row([
          markup.td(markup.escape(label(row))),
          *(score(by.get(s), 2, main=row == "") for s in one.shares),
      ]))
    unit = f" ({one.unit})" if one.unit else ""
    out.append(f"<h3>{markup.escape(one.title + unit)}</h3>"
               + markup.table(heads, lines))
  return markup.details("The figures of these curves", *out)


def score(found, digits, main=False):
  """A cell of a `readings.Score` or None."""
  if found is None:
    return markup.td("\u2013")
  return markup.td(
      markup.number(found.value, digits),
      markup.span(found.low, found.high, digits), main,
  )


def subgroups(tables, title):
  """The figures of `readings.Subgroups`, folded.

  Args:
    tables: of one attribute.
    title: (value, people) -> text of a group.
  """
  out = []
  for one in tables:
    unit = one.unit or "error"
    lines = [markup.row([
        markup.td(markup.escape(title(value, None))),
        score(s, 2, main=True),
        *(markup.td("\u2013" if n is None else f"{n:,}")
          for n in (people, windows)),
    ]) for value, s, people, windows in one.groups]
    out.append(f"<h3>{markup.escape(one.title)}</h3>" + markup.table(
        ["group", unit, "people", "windows"], lines))
  name = readings.task_title(tables[0].name)
  return markup.details(f"The figures by {name}", *out)


def health(values, split):
  """Health of each encoder's embedding; "" where none was measured."""
  columns = (
      ("effective_rank", "effective rank", 1),
      ("dimensions", "dimensions", 0),
      ("constant_dims_share", "constant dimensions", 3),
      ("alignment", "alignment", 3), ("uniformity", "uniformity", 3),
  )
  found = {
      name: readings.rows_of(values, split, f"health/{name}")
      for name, *_ in columns
  }
  used = [c for c in columns if any(
      values[k] is not None for k in found[c[0]].values())]
  rows = readings.in_order(r for by in found.values() for r in by)
  lines = [markup.row([
      markup.td(readings.label(row) + (
          " \u2013 <b>collapsed</b>" if readings.collapsed(
              values, split, row) else "")),
      *(markup.cell(values, found[name].get(row, ""), digits, main=row == "")
        for name, _, digits in used),
  ]) for row in rows]
  return markup.table(["", *(c[1] for c in used)], lines) if used else ""


def reidentify(values, split):
  """Recall@k of people by their windows, by rule; "" where not measured."""
  lines, ks = [], sorted({
      int(k) for name in values
      if (k := name.rpartition("/reidentify/recall@")[2]).isdigit()
  })
  windows = {
      tail: values.get(f"{split}/reidentify/windows{tail}") for tail in RULES
  }
  for tail, title in RULES.items():
    if not tail and windows[tail] in list(windows.values())[1:] and (
        windows[tail] is not None):
      continue  # one rule holds for all, and is shown
    by_k = {k: readings.rows_of(values, split, f"reidentify/recall@{k}{tail}")
            for k in ks}
    rows = readings.in_order(
        r for by in by_k.values() for r, name in by.items()
        if values[name] is not None)
    if not rows:
      continue
    counts = (
        (values.get(f"{split}/reidentify/{what}{tail}"), what)
        for what in ("windows", "people"))
    counts = " of ".join(f"{n:,.0f} {w}" for n, w in counts if n is not None)
    lines.append(markup.group(title.capitalize(), counts, 1 + len(ks)))
    lines += [markup.row([
        markup.td(readings.label(row)),
        *(markup.cell(values, by_k[k].get(row, ""), 3, main=row == "")
          for k in ks),
    ]) for row in rows]
    chance = [f"{split}/reidentify/chance{'' if k == 1 else f'@{k}'}{tail}"
              for k in ks]
    if any(values.get(name) is not None for name in chance):
      lines.append(markup.row([
          markup.td("chance"),
          *(markup.cell(values, name, 3) for name in chance)]))
  heads = ["person found", *(f"recall@{k}" for k in ks)]
  return markup.table(heads, lines) if lines else ""
