"""The table of several evaluations, from metrics files written here."""

import json

import pytest

from accfm import tabulate
from accfm.base.errors import InputError
from accfm.configs import table


def evaluation(folder, split_hash="h", seen=(), untold=(), **values):
  folder.mkdir()
  meta = {"split": "test", "split_hash": split_hash, "dataset": "toy",
          "seen": list(seen), "untold": list(untold)}
  folder.joinpath("metrics.json").write_text(
      json.dumps({"_meta": meta, **values})
  )
  return folder


def test_rows_values_intervals_and_gaps(tmp_path):
  key = "test/probe_hr/mae_bpm"
  one = evaluation(tmp_path / "one", **{
      key: 3.0, f"{key}_ci95_low": 2.5, f"{key}_ci95_high": 3.75,
      "test/mean/probe_hr/mae_bpm": 8.0, "test/probe_age/mae_years": None,
      "test/chance/recall@1_pool256": 1 / 256,
  })
  two = evaluation(tmp_path / "two", **{key: 4.0})
  rows = tabulate.run(
      table.get_config(), f"first={one},second={two}", f"{tmp_path}/t/out"
  )
  assert rows["first"]["HR, bpm"] == [3.0, 2.5, 3.75]
  assert rows["second"]["HR, bpm"] == [4.0, None, None]
  assert rows["predict the mean"]["HR, bpm"] == [8.0, None, None]
  assert rows["chance"]["recall@1 acc→PPG"][0] == 1 / 256
  assert rows["first"]["age, years"] is None
  text = (tmp_path / "t" / "out.md").read_text()
  assert "| first | – | – |" in text and "3.00 [2.50, 3.75]" in text
  assert "age, years" not in text  # a column that no row has is left out
  saved = json.loads((tmp_path / "t" / "out.json").read_text())
  assert saved["rows"] == rows
  assert saved["runs"]["second"]["dataset"] == "toy"


def test_the_best_is_bold_and_the_ceiling_is_no_rival(tmp_path):
  key = "test/{}probe_hr/{}"
  one = evaluation(tmp_path / "one", **{
      key.format(who, "mae_bpm"): value for who, value in (
          ("", 3.0), ("mean/", 8.0), ("features/", 2.5), ("ppg/", 1.0))
  } | {key.format("", "within_5bpm_share"): 0.75,
       key.format("mean/", "within_5bpm_share"): 0.5})
  two = evaluation(tmp_path / "two", **{key.format("", "mae_bpm"): 3.0})
  config, out = table.get_config(), tmp_path / "out"
  tabulate.run(config, f"first={one}", str(out))
  assert "(ceiling)" not in out.with_suffix(".md").read_text()
  facts = json.loads((one / "metrics.json").read_text())
  facts["_meta"]["teacher"] = "ppg"
  (one / "metrics.json").write_text(json.dumps(facts))
  rows = tabulate.run(config, f"first={one},second={two}", str(out))
  lines = dict(
      line.strip("| ").split(" | ", 1)
      for line in out.with_suffix(".md").read_text().splitlines()[2:])
  assert lines["first"] == "3.00 | **0.75**"
  assert lines["hand-made features"] == "**2.50** | –"
  assert lines["chance"] == "– | –"  # and not the encoder's own
  title = "encoder of the other signal (ceiling)"
  assert lines[title] == "1.00 | –" and rows[title]["HR, bpm"][0] == 1.0


def test_people_seen_in_training_are_told(tmp_path):
  one = evaluation(tmp_path / "one", **{"test/probe_hr/mae_bpm": 3.0})
  two = evaluation(tmp_path / "two", seen=["a", "b"],
                   **{"test/probe_hr/mae_bpm": 4.0})
  out = tmp_path / "out"
  tabulate.run(table.get_config(), f"first={one},second={two}", str(out))
  text = out.with_suffix(".md").read_text()
  assert text.startswith(
      "**People scored here were seen in training: 2 by second: nothing here")
  runs = json.loads(out.with_suffix(".json").read_text())["runs"]
  assert runs["second"]["seen_people"] == 2
  assert "seen_people" not in runs["first"]
  assert "untold_people" not in runs["second"]
  three = evaluation(tmp_path / "three", untold=["c"],
                     **{"test/probe_hr/mae_bpm": 4.0})
  tabulate.run(table.get_config(), f"third={three}", str(out))
  assert "which their ids do not tell: 1 by third" in (
      out.with_suffix(".md").read_text())
  runs = json.loads(out.with_suffix(".json").read_text())["runs"]
  assert runs["third"]["untold_people"] == 1
  tabulate.run(table.get_config(), f"first={one}", str(out))
  assert "seen in training" not in out.with_suffix(".md").read_text()


def test_bad_input(tmp_path):
  one = evaluation(tmp_path / "one")
  other = evaluation(tmp_path / "other", split_hash="g")
  config, out = table.get_config(), f"{tmp_path}/out"
  with pytest.raises(InputError, match="label=folder"):
    tabulate.run(config, str(one), out)
  with pytest.raises(InputError, match="metrics.json"):
    tabulate.run(config, f"a={tmp_path}", out)
  with pytest.raises(InputError, match="different splits"):
    tabulate.run(config, f"a={one},b={other}", out)
