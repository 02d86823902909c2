"""Several evaluations of one command, side by side, with paired differences.

Every difference is over the very segments that both encoders scored, and
people are drawn once for both. Two intervals that overlap may hide a clear
difference; the interval of the paired difference shows it.
"""

import itertools
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from accfm.base import files
from accfm.base.errors import InputError
from accfm.evals import inputs, opened
from accfm.evals.compare import page, paired
from accfm.evals.embedding import cache
from accfm.evals.files import store
from accfm.evals.probes.found import find_targets
from accfm.evals.results import marks, notes, saved, verdict, words
from accfm.evals.results.figures import TESTED, load_figures
from accfm.evals.results.outcome import task_name
from accfm.evals.retrieval import pools, ranks
from accfm.evals.stats import intervals
from accfm.steps.record import Record

SAME = ("dataset", "split", "split_hash", "rows_hash")
Path = str | os.PathLike


def name_runs(paths: Sequence[pathlib.Path]) -> list[str]:
  """A folder name for each checkpoint, the shortest that tells them apart.

  Args:
    paths: folders of steps, as RUN/checkpoints/STEP (or RUN/STEP).

  Returns:
    Names: RUN, else RUN-STEP, else with the folder above RUN.

  Raises:
    InputError: one checkpoint twice.
  """
  if len(set(paths)) < len(paths):
    twice = [str(p) for n, p in enumerate(paths) if p in paths[:n]]
    raise InputError(
        f"--checkpoint: got {twice[0]} twice, want different checkpoints"
    )
  parts = []
  for path in paths:
    run = path.parent
    run = run.parent if run.name == "checkpoints" else run
    parts.append((run.parent.name, run.name, path.name))
  forms = ("{1}", "{1}-{2}", "{0}-{1}", "{0}-{1}-{2}")
  for form in forms:
    names = [form.format(*part) for part in parts]
    if len(set(names)) == len(names):
      return names
  return [f"{name}-{n}" for n, name in enumerate(names, 1)]


def check_same(facts: Mapping[str, Mapping[str, Any]]) -> None:
  """Raises InputError unless all evaluations are of the same segments.

  Args:
    facts: run -> {"dataset", "split", "split_hash", "rows_hash", ...}.
  """
  (first, want), *others = facts.items()
  for name, got in others:
    wrong = [key for key in SAME if got.get(key) != want.get(key)]
    if wrong:
      raise InputError(
          f"comparison: {wrong[0]} of {name} is {got.get(wrong[0])!r}, that "
          f"of {first} is {want.get(wrong[0])!r}, want the same people and "
          "windows; set --config.dataset and --config.data_dir for all"
      )


def check_runs(
    config: ConfigDict, records: Mapping[str, Record], shared: inputs.Shared
) -> list[str]:
  """Opens and checks the data that several checkpoints are evaluated on.

  Args:
    config: as `configs/evaluate.py`.
    records: run -> its checkpoint's record.
    shared: `inputs.Shared`.

  Returns:
    Names of the data sets, the same for all.

  Raises:
    InputError: as `opened.open_splits`, or other people or segments.
  """
  names = {run: opened.datasets(config, one) for run, one in records.items()}
  datasets = next(iter(names.values()))
  if any(found != datasets for found in names.values()):
    raise InputError(
        f"--checkpoint: got runs of other data sets {names}, want one for "
        "all; set --config.dataset"
    )
  for dataset in datasets:
    facts = {}
    for run, record in records.items():
      tested = opened.open_splits(config, record, dataset, shared).split
      facts[run] = dict(zip(SAME, (
          dataset, config.split, tested.manifest["split_hash"],
          cache.rows_hash(tested.table),
      ), strict=True))
    check_same(facts)
  return datasets


def write_comparison(
    config: ConfigDict, folders: Mapping[str, Path], workdir: Path
) -> dict[str, Any]:
  """Writes comparison.json, .md, which is printed, and .html.

  Args:
    config: with `bootstrap_draws`, `seed` and `report`: whether .html.
    folders: run -> folder of its evaluation.
    workdir: where to write.

  Returns:
    As `tabulate_runs`.
  """
  table = tabulate_runs(folders, config.bootstrap_draws, config.seed)
  text, out = markdown(table), os.path.join(workdir, "comparison")
  files.write_atomic(
      f"{out}.json", json.dumps(table, indent=1, allow_nan=False) + "\n"
  )
  files.write_atomic(f"{out}.md", text)
  if config.report:
    page.draw_comparison(f"{out}.html", table)
  print(f"\n{text}\n{out}.md and .json", flush=True)
  return table


def tabulate_runs(
    folders: Mapping[str, Path], draws: int, seed: int
) -> dict[str, Any]:
  """All that a comparison says, as plain data.

  Args:
    folders: run -> folder of its evaluation.
    draws, seed: as `stats.People`.

  Returns:
    {"runs": [names], "tasks": {task: part}, "retrieval": {name: part},
    "facts": {run: some of its `_meta`}, "verdicts": {run: [[what was scored,
    how it compares with its rivals, "good", "bad" or ""]]}}. A part is
    {"measure", "unit", "errors": {run: [value, low, high]}, "differences":
    {"a minus b": [value, low, high]}}; a run that lacks a task is left out of
    its part. The part of a task also has "evaluator", "target" and "share" (of
    the labelled people), that of retrieval "query" and "answer" (signals) and
    "pool".
    "errors" holds the measure, so for a classifier its AUC or accuracy and
    for retrieval the recall; with several draws of labels it is of the first
    draw. The facts of a run that learned labels have its "label_fraction".

  Raises:
    InputError: evaluations of other people or segments, or a file of them
      that cannot be read.
  """
  facts = {name: _load_facts(folder) for name, folder in folders.items()}
  check_same(facts)
  for name, folder in folders.items():
    saved.check_counts(
        os.path.join(folder, "metrics.json"), facts[name], facts[name]["split"]
    )
  scored, found, verdicts = {}, {}, {}
  for name, folder in folders.items():
    scored[name] = paired.load([os.path.join(folder, "predictions.parquet")])
    figures = load_figures(os.path.join(folder, "figures.json"))
    verdicts[name] = [
        [v.title, verdict.say(v), verdict.look(v)]
        for v in verdict.find_verdicts(
            figures, (facts[name]["student"], facts[name]["teacher"]))
        if v.score.share == 1.0
    ]
    for target in find_targets(figures, "probe", "direct"):
      about = target.about
      found.setdefault((about.evaluator, about.subject, about.share))
  tasks = {}
  for evaluator, target, share in found:
    task = task_name(evaluator, target, share)
    runs = {
        name: mine[task, TESTED] for name, mine in scored.items()
        if (task, TESTED) in mine
    }
    if not runs:
      continue
    one = next(iter(runs.values()))
    tasks[task] = {
        "evaluator": evaluator, "target": target, "share": share,
        "measure": one.measure,
        "unit": one.unit if one.measure == "mae" else "",
        **_compare(runs, draws, seed),
    }
  return {
      "runs": list(folders), "tasks": tasks,
      "retrieval": _retrieval(folders, facts, draws, seed), "facts": facts,
      "verdicts": verdicts,
  }


def _compare(
    runs: Mapping[str, paired.Scored], draws: int, seed: int
) -> dict[str, Any]:
  return {
      "errors": {name: paired.score(x, draws, seed)
                 for name, x in runs.items()},
      "differences": {
          f"{a} minus {b}": paired.difference(runs[a], runs[b], draws, seed)
          for a, b in itertools.combinations(runs, 2)
      },
  }


def _load_facts(folder: Path) -> dict[str, Any]:
  """What `metrics.json` says of an evaluation."""
  about = saved.load_metrics(
      os.path.join(folder, "metrics.json"), "dataset", "split", "student",
  )["_meta"]
  facts = {key: about.get(key) for key in (
      *SAME, "checkpoint", "step", "kind", "student", "teacher", "windows",
      "people", "pools", *marks.MARKS, *notes.FACTS,
  )}
  share = (about.get("trained_config") or {}).get("label_fraction")
  return facts if share is None else {**facts, "label_fraction": share}


def _retrieval(
    folders: Mapping[str, Path], facts: Mapping[str, Mapping[str, Any]],
    draws: int, seed: int,
) -> dict[str, Any]:
  """recall@1 of each direction and pool, paired over queries."""
  found: dict[str, dict[str, Any]] = {}
  ways: dict[str, tuple[str, str]] = {}
  for name, folder in folders.items():
    pair = facts[name]["student"], facts[name]["teacher"]
    ways |= {f"{a}2{b}": (a, b) for a, b in (pair, pair[::-1])}
    path = os.path.join(folder, "queries.parquet")
    if os.path.exists(path):
      for way, queries in _load_queries(path).items():
        found.setdefault(way, {})[name] = queries
  sizes = next(iter(facts.values()))["pools"] or []
  out = {}
  for way, pool in itertools.product(found, [*sizes, "all"]):
    runs = {
        name: _hits(queries, pool) for name, queries in found[way].items()
        if pool == "all" or queries["windows"].min() >= pool
    }
    if runs:
      query, answer = ways[way]
      out[f"{way}/recall@1_pool{pool}"] = {
          "query": query, "answer": answer, "pool": pool,
          "measure": "recall@1", "unit": "", **_compare(runs, draws, seed),
      }
  return out


def _load_queries(path: str) -> dict[str, dict[str, np.ndarray]]:
  """{direction: {"keys", "people", "windows", "rank"}, all [N]}."""
  wanted = "the queries.parquet of an evaluation; evaluate again"
  token, out = store.read_facts(path, wanted).get("redaction", ""), {}
  for group in store.read(path, _columns, wanted):
    for way in dict.fromkeys(group["direction"].tolist()):
      mine = group["direction"] == way
      out.setdefault(way, []).append({
          "keys": paired.segment_keys(group, token)[mine],
          "people": group["participant"][mine],
          "windows": group["windows"][mine], "rank": group["rank"][mine],
      })
  return {
      way: {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
      for way, parts in out.items()
  }


def _columns(there: Sequence[str]) -> list[str]:
  """All columns; the row keys are those that the file has."""
  keys = [name for name in store.ROW_KEYS if name in there]
  return list(dict.fromkeys(["participant", *keys, *store.QUERIES]))


def _hits(
    queries: Mapping[str, np.ndarray], pool: int | str
) -> paired.Scored:
  """A Scored whose errors are each query's share of pools with rank 1."""
  nearer = queries["rank"] - 1  # rank 1 in a pool that has none of these
  hits = 1 - pools.control_fails(
      ranks.Counts(queries["windows"], nearer, nearer, nearer), pool
  )
  return paired.Scored(
      queries["keys"], queries["people"], np.zeros(len(hits)), hits, "share"
  )


def markdown(table: Mapping[str, Any]) -> str:
  """The comparison as text: scores, then differences."""
  parts, runs = table["tasks"] | table["retrieval"], table["runs"]
  pairs = [f"{a} minus {b}" for a, b in itertools.combinations(runs, 2)]
  ceilings = page.find_ceilings(table["facts"])

  def lines(kind, columns):
    out = []
    for name, part in parts.items():
      if not part[kind]:
        continue
      cells = {
          c: ((part[kind].get(c) or [None])[0],
              paired.cell(part[kind].get(c), 2 if part["unit"] else 3))
          for c in columns
      }
      texts = [text for _, text in cells.values()]
      if kind == "errors":
        less = part["measure"] == "mae"
        texts = paired.mark_best(cells, less, ceilings).values()
      out.append([_title(name, part), *texts])
    return out

  first = next(iter(table["facts"].values()))
  split = first["split"]
  note = marks.note(
      {run: marks.count(facts) for run, facts in table["facts"].items()})
  return marks.with_note(note, "\n\n".join([
      f"{first['windows'][split]} windows of {first['people'][split]} people "
      f"in {first['dataset']} / {split}; brackets are 95 % intervals over "
      "people; those of a difference are paired over the same people. "
      f"{intervals.FEW}",
      f"Bold marks the best of a line. {page.NO_RIVAL}",
      paired.table(["", *(
          f"{run} (ceiling)" if run in ceilings else run for run in runs
      )], lines("errors", runs)),
      paired.table(["", *pairs], lines("differences", pairs)),
      *_say_verdicts(table["verdicts"]), *notes.of_runs(table["facts"]),
  ]) + "\n")


def _say_verdicts(verdicts: Mapping[str, Sequence[Sequence[str]]]) -> list[str]:
  """A paragraph a run, and how rivals are chosen; [] without any."""
  told = [
      "\n".join([f"{run}:", *(f"- {title}: {said}" for title, said, _ in one)])
      for run, one in verdicts.items() if one
  ]
  return [verdict.CHOICE, *told] if told else []


def _title(name: str, part: Mapping[str, Any]) -> str:
  """`hr, bpm` of an error, `sex, AUC` of a class, a recall's own name."""
  if part["measure"] == "recall@1":
    return name
  measure = part["measure"]
  return f"{name}, {part['unit'] or words.MEASURES.get(measure, measure)}"
