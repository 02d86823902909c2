"""Heart rates that are read without a fit, beside the probes."""

import dataclasses

import numpy as np
import pytest

from accfm.evals import inputs
from accfm.evals.baselines import features, traced
from accfm.evals.probes import run as probes
from accfm.evals.results.figures import Figures
from accfm.signals import feed
from tests.evals import toy


@pytest.mark.parametrize("folds", [0, 3])
def test_a_reading_is_scored_as_it_is(folds):
  """Neither fitted nor chosen, on the rows that probes are scored on."""
  data, _ = toy.make_inputs()
  rng = np.random.default_rng(0)
  readings = {
      name: {row: table["labels/hr_bpm"] + rng.normal(shift, 1, len(
          table["labels/hr_bpm"])) for row, shift in (
              ("traced", 0.0), ("harmonic", 5.0))}
      for name, table in data.tables.items()
  }
  data = dataclasses.replace(data, readings=readings)
  m = Figures()
  outcome = probes.score_probes(data, toy.make_config(probe_folds=folds), m)
  v = m.flat()
  for row, read in readings["test"].items():
    error = np.abs(read - data.table["labels/hr_bpm"]).mean()
    assert v[f"test/{row}/probe_hr/mae_bpm"] == pytest.approx(error)
    assert f"test/{row}/probe_age/mae_years" not in v
  hr = next(p for p in outcome.predictions if p.target == "hr")
  assert {"traced", "harmonic"} < set(hr.predicted)


def test_readings_are_made_of_the_acceleration():
  split = toy.Split(2, 3, seconds=20)
  made = inputs.make_handmade({"test": split}, "test", ("acc", "ppg"), "acc", 4)
  x = feed.dequantize(split.values["acc"], split.values["acc_scale"])
  got = made["test"]["readings"]
  np.testing.assert_allclose(got["traced"], traced.read_windows(x, 64.0))
  names = features.names(3)
  np.testing.assert_allclose(
      got["harmonic"], features.extract(x, 64.0)[:, names.index("beat_bpm")])
  none = inputs.make_handmade({"test": split}, "test", ("acc", "ppg"), "")
  assert none["test"]["readings"] == {}
