"""One encoder on one data set: embed, measure, write.

`metrics.json` is written last: a folder that has one is whole.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from accfm.base import configlib, errors, faults, interrupts, values
from accfm.base.errors import InputError
from accfm.evals import inputs, leaks
from accfm.evals import opened as opened_lib
from accfm.evals.embedding import (
  aligned,
  cache,
  forward,
  outside,
  projection,
)
from accfm.evals.evaluators import EVALS
from accfm.evals.files import privacy, space, store
from accfm.evals.opened import Opened
from accfm.evals.probes import own_labels, panel
from accfm.evals.report import console, page
from accfm.evals.report import facts as facts_lib
from accfm.evals.results import figures as figures_lib
from accfm.evals.results import rivals
from accfm.evals.results.outcome import Outcome, Predictions
from accfm.steps import towers
from accfm.steps.record import Record

FILES = ("metrics.json", "figures.json", "predictions.parquet",
         "queries.parquet", "report.html")
RULES: values.Rules = {
    "dataset": values.empty_or(values.NAME),
    "fit_dataset": values.empty_or(values.NAME),
    "split": values.one_of("train", "val", "test"),
    "step": values.STEP,
    "batch_size": values.SOME,
    "pools": values.each(values.SOME),
    "within_pool": values.SOME,
    "adjacent_sec": values.COUNT,
    "probe_folds": values.COUNT,
    "label_fractions": values.each(values.above_to(0, 1)),
    "label_seed": values.SEED,
    "label_draws": values.SOME,  # of labelled people for each fraction
    "person_pooling": values.one_of(*panel.POOLINGS),
    "min_people": values.SOME,
    "min_windows": values.SOME,
    "min_participants": values.SOME,
    "min_class": values.SOME,
    "bootstrap_draws": values.SOME,
    "seed": values.SEED,
    "examples": values.COUNT,
    "map_method": values.one_of(*projection.METHODS),
    "watch_seconds": values.COUNT,
}


def check(config: ConfigDict) -> None:
  """Raises InputError for a config that no evaluation can follow."""
  for name in config.evals:
    if name not in EVALS:
      raise InputError(
          f"evals: got {name!r}, want some of {sorted(EVALS)}"
          f"{configlib.nearest(name, EVALS)}"
      )
  values.check(config, RULES)


def evaluate_data_sets(
    config: ConfigDict, loaded: Any, workdir: str | pathlib.Path,
    shared: inputs.Shared, name: str = "",
) -> dict[str, Any]:
  """Evaluates a loaded checkpoint on a data set, or on all it learned from.

  Args:
    config, loaded, shared: as `evaluate_checkpoint`.
    workdir: results go into WORKDIR/NAME, or for several data sets into
      WORKDIR/DATASET/NAME.
    name: of the run, "" for no folder of its own.

  Returns:
    As `evaluate_checkpoint`; {data set: those} where there are several.
  """
  names = opened_lib.datasets(config, loaded and loaded.record)
  out = {}
  for dataset in names:
    several = dataset if len(names) > 1 else ""
    folder = pathlib.Path(workdir, several, name)
    with errors.of_system(folder):
      out[dataset] = evaluate_checkpoint(
          config, loaded, dataset, folder, shared)
  return out if len(names) > 1 else out[names[0]]


def evaluate_checkpoint(
    config: ConfigDict, loaded: Any, dataset: str,
    workdir: str | pathlib.Path, shared: inputs.Shared,
) -> dict[str, Any]:
  """Embeds a data set, measures and writes the results.

  Args:
    config: as `configs/evaluate.py`.
    loaded: `accfm.train.checkpoints.Loaded`; None to evaluate
      `shared.outside` without a checkpoint, the first of them under test.
    dataset: its name.
    workdir: results go here; those of an earlier evaluation are replaced.
    shared: of the command.

  Returns:
    Flat metrics, as in `metrics.json`: key -> number, None where not
    evaluable.
  """
  start, workdir = time.time(), pathlib.Path(workdir)

  def say(text: str) -> None:
    print(f"[{time.time() - start:5.0f} s] {text}", flush=True)

  record = None if loaded is None else loaded.record
  opened = opened_lib.open_splits(config, record, dataset, shared)
  if shared.partner is not None:
    opened = dataclasses.replace(opened, seen=opened.seen.and_of(
        aligned.check_partner(config, shared.partner.record, opened)))
  whole = {name: len(split) for name, split in opened.splits.items()}
  opened, others = outside.restrict(
      opened, outside.match_all(opened, shared, say))
  splits = opened.splits
  tables = {name: split.table for name, split in splits.items()}
  extra = own_labels.load_columns(config.labels_file, tables)
  projection.check(
      config, {**tables[config.split], **extra.get(config.split, {})})
  naming = privacy.make_naming(config, shared.key, tables)
  if loaded is None:
    space.check(workdir, space.estimate(splits, config.split, 0))
    learned = outside.embedded(others[0], opened)
  else:
    places = " and ".join(filter(None, (opened.fit_dataset, dataset)))
    say(f"embedding {sum(map(len, splits.values()))} windows of {places}")
    learned = _embed(config, loaded, opened, workdir, naming, say)
  data = _gather(config, record, opened, learned, extra, shared)
  figures, found, more = figures_lib.Figures(), {}, {}
  if others:
    data, more = outside.add_rows(data, opened, others, loaded is not None)
    more["common_windows"] = {
        name: [len(split), whole[name]] for name, split in splits.items()}
  if shared.partner is not None:
    data, more["aligned_with"] = aligned.add_aligned(
        data, splits, shared.partner, config.batch_size, say)
  for name in config.evals:
    say(f"measuring {name}")
    faults.point("before_evaluator", name)
    interrupts.check()
    found[name] = EVALS[name](data, config, figures)
  predictions = [
      p for name in EVALS if name in found for p in found[name].predictions]
  rivals.add_predictions(figures, config.split, predictions, config)
  facts = {**facts_lib.describe_run(
      config, loaded, opened, data, naming), **more}
  workdir.mkdir(parents=True, exist_ok=True)
  for name in FILES:
    (workdir / name).unlink(missing_ok=True)
  _write_tables(workdir, data, found, predictions, facts, naming)
  if config.report:
    sections = [
        section for name in EVALS if name in found
        for section in found[name].describe()
    ]
    page.draw_report(
        workdir / "report.html", facts, figures, sections,
        taught=data.teacher in data.encoders,
    )
  figures_lib.write_figures(workdir / "figures.json", figures)
  figures_lib.write_metrics(workdir / "metrics.json", figures, facts)
  say(f"results are in {workdir}")
  print("\n".join(console.make_lines(figures, facts)), flush=True)
  return figures.flat()


def _embed(
    config: ConfigDict, loaded: Any, opened: Opened, workdir: pathlib.Path,
    naming: privacy.Naming, say: Callable[[str], None],
) -> dict[str, forward.Embedded]:
  """split -> what the checkpoint's encoders make of it."""
  encoders = towers.from_checkpoint(
      loaded.params, loaded.carried, loaded.frozen, loaded.record
  )
  read, splits = _read_by(encoders, opened), opened.splits
  vectors = config.save_embeddings and forward.row_bytes(
      read[opened.tested], opened.split.contract
  )
  space.check(workdir, space.estimate(splits, config.split, vectors))
  if not config.save_embeddings:
    return {
        name: forward.embed_split(read[name], split, config.batch_size)
        for name, split in splits.items()
    }
  weights = cache.weights_hash(loaded)
  folder = workdir / space.EMBEDDINGS
  return {
      name: cache.embed_or_reuse(
          read[name], split, config.batch_size, folder / f"{name}.parquet",
          cache.identity(loaded, weights, split, name), naming, say,
      ) for name, split in splits.items()
  }


def _read_by(
    encoders: Mapping[str, Any], opened: Opened
) -> dict[str, dict[str, Any]]:
  """split -> signal -> Tower, for the signals that the split can feed."""
  return {
      name: {s: tower for s, tower in encoders.items() if s in reads}
      for name, reads in opened.reads.items()
  }


def _gather(
    config: ConfigDict, record: Record | None, opened: Opened,
    learned: Mapping[str, forward.Embedded], extra: Mapping[str, Any],
    shared: inputs.Shared,
) -> inputs.Inputs:
  """What evaluators are given, beside what needs no learning."""
  splits, signals = opened.splits, opened.signals
  fresh, made = {}, {}
  if config.untrained and record is not None:
    read = _read_by(towers.untrained(record, config.seed), opened)
    fresh = {
        name: forward.embed_split(read[name], split, config.batch_size)
        for name, split in splits.items()
    }
  if config.handmade:
    pair = signals.student, signals.teacher
    made = shared.get(
        ("handmade", *map(id, splits.values()), pair, signals.motion),
        lambda: inputs.make_handmade(
            splits, config.split, pair, signals.motion),
    )
  data = dataclasses.replace(
      inputs.gather(
          config.split, learned, fresh, made, signals.student, signals.teacher,
          opened.split.contract.window_sec,
          () if record is None else record.targets, extra, opened.split,
      ), fitted_on=opened.fitted_on, absent=signals.absent,
      members=None if record is None else (),
  )
  fit = opened.fitted_on[0]
  if "membership" not in config.evals or fit not in splits or record is None:
    return data
  return dataclasses.replace(data, members=leaks.check_unseen(
      leaks.people_of(splits[fit]), record, allow_seen=True).trained)


def _write_tables(
    workdir: pathlib.Path, data: inputs.Inputs, found: Mapping[str, Outcome],
    predictions: Sequence[Predictions], facts: Mapping[str, Any],
    naming: privacy.Naming,
) -> None:
  """Writes predictions.parquet and, where there are some, queries.parquet."""
  about = {key: facts[key] for key in (
      "dataset", "split", "split_hash", "rows_hash", "checkpoint", "step",
      "redaction", "code_version",
  )}
  store.write_predictions(
      workdir / "predictions.parquet", naming.predictions(predictions), about
  )
  for outcome in found.values():
    if outcome.queries is None:
      continue
    rows, ranks = outcome.queries.rows, outcome.queries.ranks
    keys, order = naming({
        c: data.table[c][rows] for c in ("participant", "session", "start_s")
    })
    store.write_queries(workdir / "queries.parquet", {
        way: (segments[order], rank[order])
        for way, (segments, rank) in ranks.items()
    }, keys, about)
