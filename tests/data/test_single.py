"""A recording in memory gives the rows that its shards give."""

import dataclasses

import numpy as np
import pytest

from accfm import prepare
from accfm.base.errors import InputError
from accfm.configs import prepare as prepare_config
from accfm.data import manifest, pipeline, single
from accfm.data.sources import simulated as source

CFG = prepare_config.get_config("simulated,participants=12,minutes=1")
CFG.window_sec = CFG.hop_sec = 8.0
CFG.labels.min_pairs = 4  # as the fixture `simulated`
CONTRACT = prepare.make_contract(CFG, "")


@pytest.fixture(scope="module")
def recording():
  name = source.list_recordings("", CFG.source_cfg)[0]
  return source.read_recording("", name, CFG.source_cfg)


def test_same_rows_as_the_shards(simulated, recording):
  got = single.Recorded(
      recording, CONTRACT, CFG.hop_sec, CFG.labels.to_dict(),
      CFG.quality.to_dict(),
  )
  assert len(got) > 1
  folder = manifest.find(simulated, "simulated_easy")
  person = f"simulated/{recording.participant}"
  splits = manifest.load(folder)["splits"]
  name, = (split for split, people in splits.items() if person in people)
  stored = pipeline.open_split(folder, name)
  rows = np.flatnonzero(stored.table["participant"] == person)
  rows = rows[np.argsort(stored.table["start_s"][rows])]
  want = stored.read(rows, ("acc", "ppg"))
  have = got.read(range(len(got)), ("acc", "ppg"))
  for key in want:
    np.testing.assert_array_equal(have[key], want[key], err_msg=key)
  assert set(got.table) == set(stored.table)
  for column in set(got.table) - {"participant"}:
    np.testing.assert_array_equal(
        got.table[column], stored.table[column][rows], err_msg=column)


def test_acceleration_alone(recording):
  """Signals that the recording lacks leave the contract."""
  alone = dataclasses.replace(
      recording, signals={"acc": recording.signals["acc"]})
  got = single.Recorded(alone, CONTRACT)
  assert list(got.contract.signals) == ["acc"]
  assert got.read([0], ("acc",))["acc"].shape[2] == 3


def test_no_signal_or_no_window(recording):
  none = dataclasses.replace(recording, signals={
      "gyro": recording.signals["acc"]})
  with pytest.raises(InputError, match="got signals .'gyro'.*want some of"):
    single.Recorded(none, CONTRACT)
  acc = recording.signals["acc"]
  short = dataclasses.replace(recording, signals={
      "acc": dataclasses.replace(acc, values=acc.values[:100])})
  with pytest.raises(InputError, match="no window is left"):
    single.Recorded(short, CONTRACT)
