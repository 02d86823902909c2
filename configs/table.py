"""Which metrics and rows `accfm.tabulate` shows.

Command: python -m accfm.tabulate --runs="label=DIR,label=DIR" --out=PATH
"""

from ml_collections import ConfigDict

from accfm.configs import common


def get_config(arg=None):
  """No arguments; `tiny` is taken, as everywhere."""
  common.parse(arg)
  c = ConfigDict()
  # Title, key behind `test/[row/]`, digits.
  c.columns = (
      ("recall@1 acc→PPG", "acc2ppg/recall@1_pool256", 3),
      ("recall@1 PPG→acc", "ppg2acc/recall@1_pool256", 3),
      ("still acc→PPG", "still/acc2ppg/recall@1_pool256", 3),
      ("still PPG→acc", "still/ppg2acc/recall@1_pool256", 3),
      ("control fails acc→PPG", "control_fails/acc2ppg/recall@1_pool256", 3),
      ("one person acc→PPG", "within_person/acc2ppg/recall@1_pool16", 3),
      ("HR, bpm", "probe_hr/mae_bpm", 2),
      ("SDNN, ms", "probe_sdnn/mae_ms", 1),
      ("RMSSD, ms", "probe_rmssd/mae_ms", 1),
      ("age, years", "probe_age/mae_years", 1),
  )
  # Rows that need no training, from the first run: title, name.
  c.shared = (
      ("untrained encoder", "untrained"), ("hand-made features", "features"),
      ("predict the mean", "mean"), ("motion-envelope control", "envelope"),
      ("chance", "chance"),
  )
  return c.lock()
