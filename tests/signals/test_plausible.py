"""Numbers about people: what can be, and who refuses what cannot."""

import re

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.data.sources import e4
from accfm.evals.probes import own_labels
from accfm.signals import plausible
from accfm.signals.recording import Beats, Recording, Signal, Span, Track

T0 = 1.6e9


def recording(**fields):
  acc = Signal(np.zeros((64, 3)), 32.0, "g", T0)
  return Recording("P1", "S1", **{"signals": {"acc": acc}, **fields})


GOOD = [
    ("age_years", 0.0), ("age_years", 130), ("age_years", np.nan),
    ("sex", 0), ("sex", 1.0), ("sex", np.float32(np.nan)), ("bmi", 24.2),
    ("target_smoker", 1), ("target_smoker", -3e38), ("cuff_mmhg", 180.0),
]
BAD = [
    ("age_years", -30.0, "0 to 130"), ("age_years", 131.0, "0 to 130"),
    ("sex", 5.0, r"0 \(female\) or 1 \(male\)"), ("sex", 0.5, "0 .female"),
    ("bmi", -1.0, "5 to 250"), ("bmi", 0.0, "5 to 250"),
    ("target_smoker", np.inf, "-3.403e.38 to 3.403e.38"),
    ("target_smoker", 1e39, "-3.403e.38 to 3.403e.38"),
    ("age_years", np.inf, "0 to 130"), ("sex", "female", "a number"),
    ("bmi", None, "a number"), ("target_x", 10**400, "a number"),
]


@pytest.mark.parametrize("name, value", GOOD)
def test_attributes_that_can_be(name, value):
  got = recording(attributes={name: value}).attributes[name]
  stored = np.float32(got)  # as shards hold it
  assert np.isfinite(stored) or np.isnan(got)


@pytest.mark.parametrize("name, value, want", BAD)
def test_attributes_that_cannot(name, value, want):
  with pytest.raises(InputError, match=(
      f"recording P1/S1 attribute {name}: got .*, want .*{want}"
  )) as error:
    recording(attributes={name: value})
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [-60.0, 0.0, 301.0, np.inf, 1e39])
@pytest.mark.parametrize("name", ["hr_bpm", "device_hr_bpm"])
def test_heart_rates_that_cannot_be(name, value):
  values = np.array([60.0, np.nan, value])
  with pytest.raises(InputError, match=re.escape(
      f"track {name}: value of {name}[2]: got {value:g}, want 10 to 300"
  )):
    recording(tracks={name: Track(T0 + np.arange(3), 1.0, values, "bpm")})
  values[2] = 300.0
  recording(tracks={name: Track(T0 + np.arange(3), 1.0, values, "bpm")})


def test_other_tracks_have_to_fit_float32():
  for value, good in ((-3e38, True), (4e38, False), (-np.inf, False)):
    tracks = {"cuff": Track(np.array([T0]), 1.0, np.array([value]), "x")}
    if good:
      recording(tracks=tracks)
    else:
      with pytest.raises(InputError, match="track cuff: value of cuff: got"):
        recording(tracks=tracks)


@pytest.mark.parametrize("ends, intervals, message", [
    ([1, 2], [1, -1], r"interval_s\[1\]: got -1 s, want more than 0"),
    ([1, 2], [0, 1], r"interval_s\[0\]: got 0 s, want more than 0"),
    ([1, 2], [1, np.nan], "interval_s: got nan, want finite"),
    ([1, np.inf], [1, 1], "end_s: got inf, want finite"),
    ([2, 1], [1, 1], "must increase"),
])
def test_beats_that_cannot_be(ends, intervals, message):
  with pytest.raises(InputError, match=f"P1/S1 beats.*{message}"):
    recording(beats=Beats(np.array(ends), np.array(intervals)))


@pytest.mark.parametrize("fields, message", [
    (dict(rate_hz=np.inf), "rate inf"), (dict(rate_hz=np.nan), "rate nan"),
    (dict(start_s=np.nan), "start_s: got nan"),
    (dict(limits=(2.0, -2.0)), "limits .*lowest value below the highest"),
    (dict(limits=(0.0, np.nan)), "limits: got nan"),
])
def test_signals_that_cannot_be(fields, message):
  fields = {"rate_hz": 32.0, "unit": "g", "start_s": T0, **fields}
  with pytest.raises(InputError, match=f"P1/S1 signal acc.*{message}"):
    recording(signals={"acc": Signal(np.zeros((9, 3)), **fields)})


@pytest.mark.parametrize("fields, message", [
    (dict(start_s=np.array([np.nan])), "start_s: got nan"),
    (dict(start_s=np.arange(3.0)), "M"), (dict(span_s=0.0), "span_s 0.0"),
])
def test_tracks_that_cannot_be(fields, message):
  fields = {"start_s": np.array([T0]), "span_s": 1.0, **fields}
  track = Track(values=np.array([60.0]), unit="bpm", **fields)
  with pytest.raises(InputError, match=f"P1/S1 track hr_bpm.*{message}"):
    recording(tracks={"hr_bpm": track})
  with pytest.raises(InputError, match="span rest: got inf"):
    recording(spans=[Span(T0, np.inf, "rest")])


def test_possible_against_a_loop():
  rng = np.random.default_rng(0)
  for name in (*plausible.RANGES, *plausible.CODES, "target_x"):
    values = np.concatenate([
        rng.uniform(-400, 400, 200), [0, 1, np.nan, np.inf, -np.inf, 1e39]
    ])
    low, high = plausible.RANGES.get(name, (-3.4028e38, 3.4028e38))
    want = [
        v != v or (v in (0, 1) if name == "sex" else low <= v <= high)
        for v in values.tolist()
    ]
    assert plausible.possible(name, values).tolist() == want, name


def test_participants_csv_names_its_line(tmp_path):
  path = tmp_path / "participants.csv"
  for line, message in (
      ("P2,-30,0,22", "attribute age_years: got -30, want 0 to 130"),
      ("P2,30,5,22", r"attribute sex: got 5, want 0 \(female\)"),
      ("P2,30,1,1e38", "attribute bmi: got 1e.38, want 5 to 250"),
      ("P2,30,1,1e39", "got 1e39, want a number of at most 3.4e.38"),
  ):
    path.write_text(f"participant,age_years,sex,bmi\nP1,40,1,25\n{line}\n")
    with pytest.raises(InputError, match=f"csv line 3(, bmi)?:? {message}"):
      e4._attributes(path)
  path.write_text("participant,age_years,sex,bmi\nP1,40,1,25\nP2,,,\n")
  assert e4._attributes(path) == {
      "P1": {"age_years": 40.0, "sex": 1.0, "bmi": 25.0}, "P2": {}
  }


@pytest.mark.parametrize("column, cell", [
    ("hr_bpm", "-5"), ("sex", "2"), ("age_years", "1e39"), ("grip", "1e39"),
    ("grip", "inf"),
])
def test_a_file_of_labels_names_its_line(tmp_path, column, cell):
  path = tmp_path / "labels.csv"
  path.write_text(f"participant,{column}\ns/a,\ns/b,{cell}\n")
  with pytest.raises(InputError, match=(
      rf"labels.csv line 3: {column} is {re.escape(cell)}, want .*NaN for "
      "unknown"
  )):
    own_labels.load(path)
