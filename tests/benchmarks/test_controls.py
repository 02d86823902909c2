"""The table of controls: its figures are those of the page, and it reads
what an evaluation writes."""

import json
import pathlib
import re

import numpy as np
import pytest

from accfm.evals.retrieval import identity
from benchmarks import controls

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def test_the_page_has_the_figures_of_the_closed_form(monkeypatch):
  text = (DOCS / "controls.md").read_text()
  lines = re.findall(r"\| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \|", text)
  assert [int(pool.replace(",", "")) for pool, _, _ in lines] == [
      256, 1024, 4096, 10000]
  for pool, recall, rank in lines:
    got = identity.expect(
        controls.PAPER_PEOPLE, controls.EACH, int(pool.replace(",", "")))
    assert (recall, rank) == tuple(f"{x:.3f}" for x in got)
  monkeypatch.setattr(controls, "POOLS", (256,))
  assert controls.uneven(0.0)[256] == pytest.approx(identity.expect(
      controls.PAPER_PEOPLE, controls.EACH, 256))
  assert f"{controls.uneven(0.5)[256][0]:.3f}" == "0.991" in text
  ours = controls.our_result()
  said = " ".join(text.split())
  assert f"finds {ours['recall@1']:.2f} of the minutes of ten unseen" in said
  assert f"and identity alone finds {ours['identity']:.3f}" in said


def test_rows_of_two_evaluations(tmp_path):
  for place, run in enumerate(("acc", "student")):
    folder = tmp_path / run / "evaluation"
    folder.mkdir(parents=True)
    v = {"_meta": {"people": {"test": 15}, "windows": {"test": 240},
                   "step": 9, "aligned_with": {}}}
    for encoder in ("", "aligned_cca/", "aligned_ridge/", "envelope/",
                    "identity/"):
      for way in controls.WAYS:
        v[f"test/{encoder}{way}/recall@1_poolall"] = 0.5 + place
        v[f"test/{encoder}{way}/mean_rank_poolall"] = 3.0
      v[f"test/{encoder}probe_hr/mae_bpm"] = 2.0
    v["test/chance/recall@1_poolall"] = 0.004
    v["test/chance/mean_rank_poolall"] = 128.5
    (folder / "metrics.json").write_text(json.dumps(v))
  found = controls.aligned_rows(tmp_path)
  assert [row["recall ppg2acc"][0] for row in found["rows"]] == [
      1.5, 0.5, 0.5, 1.5, 0.5, 0.5, 0.004]
  assert found["rows"][-1]["mean rank"][0] == 128.5
  result = {
      "identity": [(10, {256: (0.04, 13.6)})], "uneven": [],
      "ours": controls.our_result(), "aligned": found, "heart_rate": {
          "x": {r: controls.summary(np.array([1.0, 9.0]))
                for r in controls.READERS}},
  }
  text = controls.markdown(result)
  assert "| 10 | \u2013 | 0.040 (13.600) |" in text
  assert "| chance | 0.004 | 0.004 | 128.5 | \u2013 |" in text
  assert "through the recording | 5.00 | 5.00 | 0.50 |" in text
