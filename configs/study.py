"""The paper's comparison: one teacher, one student, every baseline.

Command: accfm study --config=study:small --workdir=W
Expected: table.md, table.json and table.png in W, all encoders at equal steps
and batch, scored on the same unseen people. `tiny` runs the code.
Cost: four runs without labels, and a supervised run for each share of the
labels and draw of labelled people: 1 at 100 % and `draws` (5) at each other
share. That makes 15 runs in `small`, 20 in `paper` and 7 in `tiny`. Seven runs
of `small` took about an hour on 2 CPU cores for 300 people of 24 minutes.
"""

from ml_collections import ConfigDict

from accfm.configs import (
  acc_contrastive,
  acc_distill,
  acc_mae,
  acc_supervised,
  common,
  ppg_contrastive,
)
from accfm.configs import evaluate as evaluate_config

SCALES = {"paper": "paper", "small": "laptop", "tiny": "tiny"}
FRACTIONS = {
    "paper": (0.001, 0.01, 0.1, 1.0), "small": (0.01, 0.1, 1.0),
    "tiny": (0.5, 1.0),
}


def get_config(arg=None):
  """Arguments: paper, small or tiny; encoder (a preset for all runs but masked
  autoencoding); positives (of the teacher and of the contrastive baseline:
  participant as published, or segment where a batch has more rows than there
  are people); draws (of labelled people for each share below 100 %, of probes
  and of supervised runs).
  """
  arg = common.parse(
      arg, SCALES, encoder="", positives="participant", draws=0)
  scale = SCALES[arg.scale]
  chosen = f",encoder={arg.encoder}" if arg.encoder else ""
  contrast = f"{scale}{chosen},positives={arg.positives}"
  c = base(arg.scale, scale)
  c.evaluate.label_fractions = FRACTIONS[arg.scale]
  c.evaluate.label_draws = arg.draws or c.evaluate.label_draws
  runs = {
      "teacher": entry(
          "pretrain", "PPG teacher", ppg_contrastive.get_config(contrast)
      ),
      "distilled": entry(
          "distill", "distilled", acc_distill.get_config(scale + chosen),
          needs="teacher",
      ),
      "accel_cl": entry(
          "pretrain", "Accel-CL", acc_contrastive.get_config(contrast)
      ),
      "accel_mae": entry("pretrain", "Accel-MAE", acc_mae.get_config(scale)),
  }
  for fraction in FRACTIONS[arg.scale]:
    share = f"{100 * fraction:g}".replace(".", "p")  # no dots in a field
    for draw in range(1 if fraction == 1 else c.evaluate.label_draws):
      name = f"supervised_{share}pct" + (f"_draw{draw}" if draw else "")
      runs[name] = entry(
          "supervise", "supervised", acc_supervised.get_config(
              f"{scale}{chosen},fraction={fraction}"
          ), fraction=fraction, draw=draw,
      )
  c.order = tuple(runs)  # of the runs: one comes after what it needs
  c.runs = ConfigDict(runs)
  return c.lock()


def base(name, scale):
  """Fields of every study: data, shared settings, what is measured."""
  c = ConfigDict()
  c.data_dir = "data"  # folder of the data sets
  # Names of the data sets. The runs of each, such as each fold of a cohort,
  # follow one another; one table shows all.
  c.datasets = ("simulated_easy" if name == "tiny" else "simulated_realistic",)
  # Fields that every run takes from this config.
  c.shared = ("data_dir", "seed", "batch_size", "total_steps")
  at = common.SCALES[scale]
  c.seed = 0
  c.batch_size = at["batch_size"]
  c.total_steps = at["total_steps"]
  c.evaluate = evaluate_config.get_config("tiny" if name == "tiny" else "")
  c.evaluate.unlock()
  c.tasks = ("hr", "sdnn", "rmssd")  # probes that the table shows
  c.subject = "distilled"  # the run whose gain over the others is shown
  # Lines of the table that need no training, from the subject's evaluation:
  # name of the row, title.
  c.shared_rows = (
      ("untrained", "untrained encoder"), ("features", "hand-made features"),
      ("traced", "traced curve, not fitted"),
      ("harmonic", "harmonic sum, not fitted"),
      ("mean", "predict the mean"),
  )
  # Above 0: the table's intervals are t intervals over people, without draws.
  c.bootstrap_draws = c.evaluate.bootstrap_draws
  return c


def entry(main, title, config, needs="", fraction=1.0, draw=0):
  """One run of a study.

  Args:
    main: the command that trains it.
    title: its name in tables.
    config: its config.
    needs: the run whose checkpoint it starts from; "" for none.
    fraction: share of the labelled people that a supervised run trains on.
    draw: the draw of these people.
  """
  return ConfigDict(dict(
      main=main, title=title, needs=needs, fraction=fraction, draw=draw,
      reference="distilled",
      config=config.to_dict(preserve_field_references=True),
  ))
