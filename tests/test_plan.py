"""The main, with eight CPU devices in place of chips (tests/train/test_aot.py
has a TPU's compiler).
"""

import json
import math

import jax
import pytest

from accfm import plan
from accfm.base.errors import InputError
from accfm.configs import acc_distill, acc_mae, study
from accfm.plans import aot, roofline


@pytest.fixture
def chips(monkeypatch):
  monkeypatch.setattr(
      aot, "open_topology",
      lambda name: (roofline.CHIPS["v5e"], jax.devices()),
  )


def config(tmp_path):
  out = acc_mae.get_config("tiny")
  with out.unlocked():
    out.data_dir = str(tmp_path)
    out.mask_ratio = 0.75
  return out


def by_hand(rows):
  """FLOPs of the tiny masked autoencoder and its gradient, for some rows.

  120 patches of 96 values, 30 of them seen; width 16, two heads, MLP 32, one
  block; decoder of width 16, two heads, MLP 64, one block.
  """

  def block(tokens, width, mlp):
    dense = 3 * width * width + width * width + 2 * width * mlp
    return tokens * dense + 2 * tokens * tokens * width

  embed = 120 * 96 * 16
  encoder = block(30, 16, 32)
  decoder = 30 * 16 * 16 + block(120, 16, 64) + 120 * 16 * 96
  forward = embed + encoder + decoder
  return 2 * rows * (3 * forward - embed)  # the input needs no gradient


def test_a_plan(chips, tmp_path, capsys):
  path = tmp_path / "plan.json"
  command = ("--config=acc_mae:tiny", "--topology=v5e:2x4")
  made = plan.run(
      config(tmp_path), "v5e:2x4", batch="16", segments="2e7",
      json=str(path), command=command,
  )
  assert json.loads(path.read_text()) == made
  printed = capsys.readouterr().out
  assert printed == roofline.report(made) + "\n"
  assert made["config"] == "acc_mae:tiny"
  assert made["command"] == " ".join(["accfm plan", *command])
  assert (made["kind"], made["signals"]) == ("mae", ["acc"])
  assert (made["chip"], made["chips"], made["batch"]) == ("v5e", 8, 16)
  assert made["flops"] == made["bf16_flops"] == by_hand(2)
  assert made["xla_flops"] > made["flops"]
  assert 0 < made["peak_memory_bytes"] < 1e8
  chip = roofline.CHIPS["v5e"]
  assert made["memory_bytes"] == chip.hbm_bytes
  assert made["compute_seconds"] == made["flops"] / chip.peak_flops
  assert made["memory_seconds"] == made["bytes_accessed"] / chip.hbm_bandwidth
  assert made["hbm_bytes"] > 4 * made["parameters"]
  assert made["least_seconds"] <= made["roofline_seconds"]
  assert made["link_seconds"] == made["bytes_received"] / chip.ici_bandwidth
  reduced = made["collectives"]["all-reduce"]
  assert reduced["bytes"] >= 4 * made["parameters"]
  assert made["segments"] == 20_000_000
  # Int16 of 3 x 3,840 samples, 3 scales, a row number.
  row = 2 * 3 * 3840 + 3 * 4 + 4
  pace = 16 / made["roofline_seconds"]
  assert made["segments_per_second"] == pace
  assert math.isclose(made["input_bytes_per_second"], pace * row)
  assert math.isclose(made["hours"], 2e7 / pace / 3600)


@pytest.mark.parametrize("flags, want", [
    (dict(batch="x"), "--batch: got 'x', want a whole number above 0"),
    (dict(batch="-8"), "--batch: got '-8', want"),
    (dict(batch="12"), "batch_size: got 12 for 8 devices"),
    (dict(segments="1.5"), "--segments: got '1.5', want"),
])
def test_wrong_flags(chips, tmp_path, flags, want):
  with pytest.raises(InputError, match=want):
    plan.run(config(tmp_path), "v5e:2x4", **flags)


def test_rows_that_are_no_whole_micro_batches(chips, tmp_path):
  from_teacher = acc_distill.get_config("tiny")
  with from_teacher.unlocked():
    from_teacher.update(micro_batches=3, data_dir=str(tmp_path))
  with pytest.raises(InputError, match="micro_batches: got 3 for 2 rows"):
    plan.run(from_teacher, "v5e:2x4", batch="16")


def test_a_config_of_another_main(chips):
  with pytest.raises(InputError, match="accfm.distill or accfm.supervise"):
    plan.run(study.get_config("tiny"), "v5e:2x4")


@pytest.mark.parametrize("text, want", [
    ("8", 8), ("20_000_000", 20_000_000), ("2e7", 20_000_000),
])
def test_counts(text, want):
  assert plan.count("segments", text) == want
