"""Which figures and rows `accfm.tabulate` shows.

Command: accfm tabulate --runs="label=DIR,label=DIR" --out=PATH
"""

from ml_collections import ConfigDict

from accfm.configs import common


def get_config(arg=None):
  """No arguments; `tiny` is taken, as everywhere."""
  common.parse(arg)
  c = ConfigDict()
  # Title, the figure's fields (accfm/evals/results/figures.py), digits.
  c.columns = (
      ("recall@1 acc→PPG", recall("acc2ppg"), 3),
      ("recall@1 PPG→acc", recall("ppg2acc"), 3),
      ("still acc→PPG", recall("acc2ppg", "still"), 3),
      ("still PPG→acc", recall("ppg2acc", "still"), 3),
      ("control fails acc→PPG", recall("acc2ppg", "control_fails"), 3),
      ("one person acc→PPG", recall("acc2ppg", "within_person", 16), 3),
      ("HR, bpm", error("hr", "bpm"), 2),
      ("HR, median", error("hr", "bpm", "median_abs_error"), 2),
      ("HR within 5 bpm", error("hr", "", "within_5bpm_share"), 2),
      ("SDNN, ms", error("sdnn", "ms"), 1),
      ("RMSSD, ms", error("rmssd", "ms"), 1),
      ("age, years", error("age", "years"), 1),
  )
  # Rows from the first run that are no run: title, encoder. "ceiling" is the
  # encoder of the other signal.
  c.shared = (
      ("untrained encoder", "untrained"), ("hand-made features", "features"),
      ("traced curve, not fitted", "traced"),
      ("harmonic sum, not fitted", "harmonic"),
      ("predict the mean", "mean"), ("motion-envelope control", "envelope"),
      ("identity alone", "identity"), ("chance", "chance"),
      ("encoder of the other signal (ceiling)", "ceiling"),
  )
  return c.lock()


def recall(direction, variant="", pool=256):
  """recall@1 of a direction of retrieval."""
  return dict(evaluator="retrieval", subject=direction, variant=variant,
              measure="recall@1", pool=pool)


def error(target, unit, measure="mae"):
  """The mean absolute error of a probe, or another measure of it."""
  return dict(evaluator="probe", subject=target, measure=measure, unit=unit)
