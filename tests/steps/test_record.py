"""Records of checkpoints: there and back, of yesterday, and hostile ones."""

import copy
import dataclasses
import json

import pytest

from accfm.base.errors import InputError
from accfm.signals.contract import Contract, SignalSpec
from accfm.signals.targets import Target
from accfm.steps import record
from accfm.steps.record import Cohort, Ranking, Record

# What accfm 0.1.0 wrote for a student before records had a version: the
# teacher's record under `teacher`. Configs are cut short.
YESTERDAY = json.loads("""{
 "kind": "distill",
 "config": {"batch_size": 8, "encoder": {"embed_dim": 16}, "teacher": "w"},
 "contract": {
  "signals": {
   "acc": {"channels": 3, "unit": "g", "kind": "acc", "gravity_kept": true,
    "band_hz": null, "band_order": 2, "delay_s": 0.0, "normalize": "zscore"},
   "ppg": {"channels": 4, "unit": "au", "kind": "ppg", "gravity_kept": false,
    "band_hz": [0.5, 8.0], "band_order": 2, "delay_s": 0.0,
    "normalize": "zscore"}
  },
  "rate_hz": 64.0, "window_sec": 8.0,
  "labels": {"beat_source": "beats", "min_pairs": 4, "tracks": []},
  "code_version": "0.1.0"
 },
 "cohorts": [{"dataset": "simulated_easy", "split_hash": "5e5a7b56fbe58cd4",
  "splits": {"train": ["simulated/p00000"], "val": ["simulated/p00003"],
   "test": ["simulated/p00001"]},
  "windows": {"train": 56, "val": 14, "test": 14}}],
 "signals": ["acc", "ppg"],
 "teacher": {
  "kind": "contrastive",
  "config": {"encoder": {"embed_dim": 32}},
  "contract": {
   "signals": {"ppg": {"channels": 4, "unit": "au", "kind": "ppg",
    "gravity_kept": false, "band_hz": [0.5, 8.0], "band_order": 2,
    "delay_s": 0.0, "normalize": "zscore"}},
   "rate_hz": 64.0, "window_sec": 8.0, "labels": {}, "code_version": "0.1.0"
  },
  "cohorts": [{"dataset": "simulated_easy", "split_hash": "5e5a7b56fbe58cd4",
   "splits": {"train": ["simulated/0a1b2c3d4e5f"], "val": [], "test": []},
   "windows": {"train": 56, "val": 0, "test": 0}, "salt": "pepper"}],
  "signals": ["ppg"], "teacher": null, "code_version": "0.1.0",
  "best": {"metric": "val/loss", "mode": "min"}, "metrics": null
 },
 "code_version": "0.1.0",
 "best": {"metric": "val/acc2ppg/recall@1", "mode": "max"},
 "metrics": {"val/acc2ppg/recall@1": 0.5, "val/loss": null},
 "skipped": [{"step": 5, "batch": 4, "rows": [7, 9]}],
 "losses": [2.5, 2]
}""")


def test_a_record_of_yesterday():
  got = record.from_plain(YESTERDAY)
  assert got.version == 1 and got.kind == "distill"
  assert got.signals == ("acc", "ppg")
  assert got.contract.signals["ppg"] == SignalSpec(
      4, "au", "ppg", band_hz=(0.5, 8.0)
  )
  assert got.contract.length("acc") == 512
  assert got.cohorts == (Cohort(
      "simulated_easy", {
          "train": ("simulated/p00000",), "val": ("simulated/p00003",),
          "test": ("simulated/p00001",),
      }, "5e5a7b56fbe58cd4", {"train": 56, "val": 14, "test": 14},
  ),)
  assert got.parent.kind == "contrastive" and got.parent.parent is None
  assert got.parent.cohorts[0].salt == "pepper"
  assert got.parent.setting("encoder") == {"embed_dim": 32}
  assert got.best == Ranking("val/acc2ppg/recall@1", "max")
  assert got.metrics == {"val/acc2ppg/recall@1": 0.5, "val/loss": None}
  assert got.parent.metrics is None
  assert got.skipped == ({"step": 5, "batch": 4, "rows": [7, 9]},)
  assert got.losses == (2.5, 2.0) and got.targets == ()
  assert YESTERDAY["teacher"]["kind"] == "contrastive"  # not changed


def test_a_teacher_of_yesterday_that_nobody_trained():
  plain = {**YESTERDAY, "teacher": {
      "kind": "scratch", "config": {"encoder": {"embed_dim": 32}},
  }}
  assert record.from_plain(plain).parent is None


def test_a_record_of_yesterday_that_does_not_say_who_was_trained_on():
  plain = {k: v for k, v in YESTERDAY.items() if k != "cohorts"}
  assert record.from_plain(plain).cohorts is None


def whole():
  return Record(
      "supervised", {"encoder": {"widths": [1, 2]}}, ("acc",),
      Contract({"acc": SignalSpec(3, "g", "acc", True)}, 64.0, 8.0),
      (Cohort("a", {"train": ("x/1",)}),),
      parent=record.from_plain(YESTERDAY),
      targets=(Target("labels/hr_bpm", 70.0, 9.5),
               Target("attributes/sex", classes=(0.0, 1.0))),
      best=Ranking("val/loss", "min"), metrics={"val/loss": 1.5},
  )


def test_there_and_back():
  text = json.dumps(record.to_plain(whole()))
  assert record.from_plain(json.loads(text)) == whole()
  assert json.loads(text)["version"] == 1
  assert "teacher" not in json.loads(text)


def test_what_the_saver_adds_takes_the_place_of_what_was_empty():
  plain = record.to_plain(dataclasses.replace(whole(), metrics=None))
  plain = {**plain, "best": {"metric": "m", "mode": "max"}, "metrics": None}
  assert record.from_plain(plain).best == Ranking("m", "max")


def change(plain, path, value):
  out = copy.deepcopy(plain)
  *parents, last = path
  place = out
  for name in parents:
    place = place[name]
  place[last] = value
  return out


@pytest.mark.parametrize("path, value, want", [
    (("kind",), 3, "w: record.kind: got 3, want text"),
    (("config",), [], "w: record.config: got [], want an object (a JSON "
                      "{...})"),
    (("signals",), "acc", "w: record.signals: got 'acc', want a list"),
    (("signals",), [], "w: record.signals: got none, want at least one"),
    (("signals",), ["ecg"], "w: record.signals: got 'ecg', want some of "
                            "['acc', 'ppg'] of its contract"),
    (("teacher", "signals"), ["acc"],
     "w: record.parent.signals: got 'acc', want some of ['ppg'] of its "
     "contract"),
    (("contract", "rate_hz"), "64", "w: record.contract.rate_hz: got '64', "
                                    "want a number"),
    (("contract", "signals", "acc", "chanels"), 3,
     "w: record.contract.signals.acc: got a field 'chanels', want some of "
     "['band_hz', 'band_order', 'channels', 'delay_s', 'gravity_kept', "
     "'kind', 'normalize', 'rate_hz', 'unit']; did you mean 'channels'?"),
    (("cohorts", 0, "splits", "train"), [1],
     "w: record.cohorts[0].splits.train[0]: got 1, want text"),
    (("teacher",), "w", "w: record.parent: got 'w', want an object (a JSON "
                        "{...})"),
    (("teacher", "cohorts", 0, "salt"), None,
     "w: record.parent.cohorts[0].salt: got None, want text"),
    (("metrics", "val/loss"), "low", "w: record.metrics.val/loss: got 'low', "
                                     "want a number"),
    (("version",), 2, "w: record.version: got 2, want 0 to 1; a newer accfm "
                      "wrote it: upgrade accfm"),
    (("version",), "1", "w: record.version: got '1', want 0 to 1; a newer "
                        "accfm wrote it: upgrade accfm"),
])
def test_a_wrong_record_is_named_in_one_line(path, value, want):
  with pytest.raises(InputError) as error:
    record.from_plain(change(YESTERDAY, path, value), "w: record")
  assert str(error.value) == want


@pytest.mark.parametrize("plain", [None, 3, "x", [], [YESTERDAY]])
def test_what_is_no_object(plain):
  with pytest.raises(InputError, match="record: got .*, want an object"):
    record.from_plain(plain)


def test_a_field_is_missing():
  plain = {k: v for k, v in YESTERDAY.items() if k != "contract"}
  with pytest.raises(InputError, match="record: got no field 'contract'"):
    record.from_plain(plain)
  with pytest.raises(InputError, match="got no field 'lr', want all fields of "
                                       "a 'distill' run"):
    record.from_plain(YESTERDAY).setting("lr")


def test_endless_parents():
  plain = {**YESTERDAY["teacher"], "teacher": None}
  for _ in range(5000):
    plain = {**plain, "teacher": plain}
  with pytest.raises(InputError, match="got more than 16 parents"):
    record.from_plain(plain)
