"""A trained encoder on one's own samples gives what an evaluation has."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

import accfm
from accfm import distill
from accfm.base.errors import InputError
from accfm.configs import acc_distill
from accfm.configs import prepare as prepare_config
from accfm.data import manifest, pipeline
from accfm.data.sources import simulated as source
from accfm.evals.embedding import forward
from accfm.signals import windows
from accfm.steps import towers
from accfm.train import checkpoints


@pytest.fixture(scope="module")
def run(simulated, tmp_path_factory):
  """(data_dir, workdir of a tiny distilled student)."""
  workdir = tmp_path_factory.mktemp("runs") / "student"
  config = acc_distill.get_config("tiny")
  config.data_dir, config.teacher_mode = simulated, "scratch"
  distill.run(config, str(workdir))
  return simulated, workdir


@pytest.fixture(scope="module")
def raw():
  """A recording of the prepared cohort, as its source gives it."""
  config = prepare_config.get_config("simulated,participants=12,minutes=1")
  name = source.list_recordings("", config.source_cfg)[0]
  return source.read_recording("", name, config.source_cfg)


def shard_rows(data_dir, participant):
  """(open split, rows of a participant) of the prepared data."""
  folder = manifest.find(data_dir, "simulated_easy")
  for name in ("train", "val", "test"):
    split = pipeline.open_split(folder, name)
    rows = np.flatnonzero(
        split.table["participant"] == f"simulated/{participant}"
    )
    if len(rows):
      return split, rows
  raise AssertionError(participant)


def samples(raw, encoder):
  """(values, rate) of the encoder's signal, on the clock of preparation."""
  contract = encoder.contract
  aligned = windows.align(raw, contract)
  first = raw.signals[encoder.signal]
  skip = round((aligned.start_s - first.start_s) * first.rate_hz)
  count = len(aligned.signals[encoder.signal])
  kept = count - count % contract.length(encoder.signal)
  return first.values[skip:skip + kept], first.rate_hz


def test_the_same_numbers_as_an_evaluation(run, raw):
  data_dir, workdir = run
  encoder = accfm.load(workdir)
  x, rate_hz = samples(raw, encoder)
  got = encoder.embed(x, rate_hz=rate_hz, unit="g")

  split, rows = shard_rows(data_dir, raw.participant)
  at = np.rint(
      (split.table["start_s"][rows] - split.table["start_s"][rows[0]])
      / encoder.contract.window_sec
  ).astype(int)
  loaded = checkpoints.load(workdir)
  found = towers.from_checkpoint(
      loaded.params, loaded.carried, loaded.frozen, loaded.record
  )
  embedded = forward.embed_split(found, split, rows=rows)
  want = embedded.signals["acc"]["embedding"]
  np.testing.assert_allclose(got[at], want, rtol=1e-5, atol=1e-5)
  stored = split.read(rows, ["acc"])
  segments = encoder.segments(x, rate_hz=rate_hz, unit="g")[at]
  scale = stored["acc_scale"][:, None, :]
  error = np.abs(stored["acc"] * scale - segments)
  assert error.max() <= scale.max() / 2 + 1e-6  # what int16 rounds away


def test_segments_are_a_recording_cut(run, raw):
  encoder = accfm.load(run[1])
  x, rate_hz = samples(raw, encoder)
  whole = encoder.embed(x, rate_hz=rate_hz, unit="g")
  cut = x.reshape(-1, encoder.contract.length(encoder.signal), 3)
  np.testing.assert_array_equal(
      encoder.embed(cut, rate_hz=rate_hz, unit="g"), whole
  )
  assert whole.shape == (len(cut), 16) and whole.dtype == np.float32


def test_units_of_acceleration(run, raw):
  encoder = accfm.load(run[1])
  x, rate_hz = samples(raw, encoder)
  want = encoder.segments(x, rate_hz=rate_hz, unit="g")
  for unit, factor in (("mg", 1000), ("m/s2", 9.80665)):
    got = encoder.segments(x * factor, rate_hz=rate_hz, unit=unit)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_another_rate_is_resampled_when_asked(run, raw):
  encoder = accfm.load(run[1])
  x, rate_hz = samples(raw, encoder)
  with pytest.raises(InputError, match="got 32, want 64; pass resample=True"):
    encoder.embed(x[::2], rate_hz=rate_hz / 2, unit="g")
  # A slow wave keeps its shape.
  t = np.arange(int(8 * 100)) / 100
  slow = np.stack([0.1 * np.sin(2 * np.pi * t), 0 * t, 1 + 0 * t], 1)
  got = encoder.segments(slow, rate_hz=100, unit="g", resample=True)
  want = 0.1 * np.sin(2 * np.pi * np.arange(512) / 64)
  assert got.shape == (1, 512, 3)
  np.testing.assert_allclose(got[0, 64:-64, 0], want[64:-64], atol=1e-3)


def test_a_remainder_is_cut_when_asked(run, raw):
  encoder = accfm.load(run[1])
  x, rate_hz = samples(raw, encoder)
  more = np.concatenate([x, x[:64]])
  with pytest.raises(InputError, match="leaves 1 s .*pass cut=True"):
    encoder.embed(more, rate_hz=rate_hz, unit="g")
  np.testing.assert_array_equal(
      encoder.embed(more, rate_hz=rate_hz, unit="g", cut=True),
      encoder.embed(x, rate_hz=rate_hz, unit="g"),
  )


@pytest.mark.parametrize("change, match", [
    (dict(x=lambda x: x[:100]), "got 1.56.* s, want at least one segment of 8"),
    (dict(x=lambda x: x[:, :2]), r"got shape .*want \[N, 3\]"),
    (dict(x=lambda x: x[:, 0]), "got shape"),
    (dict(x=lambda x: x[:0]), "no samples"),
    (dict(x=lambda x: np.where(np.arange(len(x))[:, None] == 5, np.nan, x)),
     "got 3 values that are NaN"),
    (dict(x=lambda x: 9.8 * x), "got acceleration of 9.8.*is 'g' its unit?"),
    (dict(x=lambda x: x - x.mean(0)), "want about 1 g"),
    (dict(x=lambda x: x[:500].reshape(1, 500, 3)), "segments of 500 samples"),
    (dict(rate_hz=0), "rate_hz: got 0"),
    (dict(unit="counts"), "unit: got 'counts', want 'g'"),
])
def test_what_cannot_be_embedded_is_one_line(run, raw, change, match):
  encoder = accfm.load(run[1])
  x, rate_hz = samples(raw, encoder)
  given = {"rate_hz": rate_hz, "unit": "g"} | change
  x = given.pop("x", lambda x: x)(x)
  with pytest.raises(InputError, match=match) as error:
    encoder.embed(x, **given)
  assert "\n" not in str(error.value)


def test_the_teacher_is_in_it_too(run, raw):
  encoder = accfm.load(run[1], signal="ppg")
  x, rate_hz = samples(raw, encoder)
  got = encoder.embed(x, rate_hz=rate_hz, unit=encoder.unit)
  assert encoder.signal == "ppg" and np.isfinite(got).all()
  with pytest.raises(InputError, match="signal: got 'ecg', want one of"):
    accfm.load(run[1], signal="ecg")


def test_steps_and_folders(run, tmp_path):
  a = accfm.load(run[1], step="best")
  b = accfm.load(run[1] / "checkpoints" / "2")
  x = np.ones((512, 3)) / np.sqrt(3)
  np.testing.assert_array_equal(
      a.embed(x, rate_hz=64, unit="g"), b.embed(x, rate_hz=64, unit="g")
  )
  with pytest.raises(InputError, match="got step 7"):
    accfm.load(run[1], step=7)
  with pytest.raises(InputError, match="nothing there"):
    accfm.load(tmp_path / "no")


LIGHT = """
import sys
for name in ("tensorflow_datasets", "grain", "array_record", "pyarrow",
             "sklearn", "matplotlib", "pandas", "jinja2"):
  sys.modules[name] = None
import numpy as np
import accfm
encoder = accfm.load(sys.argv[1])
print(encoder.embed(np.ones((512, 3)) / 3**0.5, rate_hz=64, unit="g").shape)
"""


def test_only_what_a_plain_install_has_is_imported(run):
  root = pathlib.Path(__file__).parents[2]
  done = subprocess.run(
      [sys.executable, "-c", LIGHT, str(run[1])], cwd=root,
      capture_output=True, text=True, check=False,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout == "(1, 16)\n"
