"""Bounds and rates by hand; remedies that fit what was asked."""

import re

import ml_collections
import pytest

from accfm.configs import acc_distill, finetune
from accfm.plans import roofline

CHIP = roofline.Chip("x", 100.0, 1000, 10.0, 5.0)


@pytest.mark.parametrize("flops, moved, hbm, received, seconds, bound, least", [
    (1000.0, 50.0, 40.0, 20.0, 10.0, "compute", 10.0),
    (1000.0, 130.0, 40.0, 20.0, 13.0, "memory", 10.0),
    (1000.0, 130.0, 110.0, 20.0, 13.0, "memory", 11.0),
    (1000.0, 110.0, 40.0, 60.0, 12.0, "link", 12.0),
])
def test_the_slowest_part_binds(
    flops, moved, hbm, received, seconds, bound, least
):
  times = roofline.times(CHIP, dict(
      bf16_flops=flops, bytes_accessed=moved, hbm_bytes=hbm,
      bytes_received=received,
  ))
  assert times == {
      "compute_seconds": flops / 100, "memory_seconds": moved / 10,
      "link_seconds": received / 5, "roofline_seconds": seconds,
      "bound": bound, "hbm_seconds": hbm / 10, "least_seconds": least,
  }


def test_rates():
  # 100 steps of half a second for 1,000 segments of 20 bytes, two hosts.
  rates = roofline.rates(0.5, 10, 1000, 20, 2)
  assert rates == {
      "segments_per_second": 20.0, "segments": 1000,
      "hours": 50.0 / 3600, "input_bytes_per_second": 400.0,
      "input_bytes_per_second_per_host": 200.0,
      "reads_per_second_per_host": 10.0, "share_bytes_per_million": 1e7,
  }


def test_published_figures_are_in_order():
  """Slips of a power of ten, or of bits and bytes, would show."""
  assert sorted(roofline.CHIPS) == ["v4", "v5e", "v5p", "v6e"]
  for name, chip in roofline.CHIPS.items():
    assert chip.name == name and chip.axes in (2, 3)
    assert 1e14 < chip.peak_flops < 1e15
    assert 16 <= chip.hbm_bytes / roofline.GIB <= 95
    # A step that reads its memory once: tens of ms; links: 4 to 6 times less.
    assert 0.01 < chip.hbm_bytes / chip.hbm_bandwidth < 0.05
    assert 3.5 < chip.hbm_bandwidth / chip.ici_bandwidth < 5


def config(**encoder):
  out = acc_distill.get_config()
  with out.unlocked():
    out.encoder.update(encoder)
    out.batch_size = 8192
  return out


def test_remedies_are_told_with_numbers():
  # 2,048 rows a chip need twice the memory: 2048 / 2.2 = 930 rows fit, and
  # 4 x 2.2 = 8.8 chips, so the next power of two.
  text = roofline.remedies(
      config(dtype="float32", block="plain"), 4, 2000, 1000
  )
  assert "--config.encoder.dtype=bfloat16" in text
  assert "--config.encoder.block=fused" in text
  assert "--config.encoder.remat=True" in text
  # The least divisor of 2,048 from 2.2 on.
  assert "--config.micro_batches=4 (" in text
  assert "--batch=3720" in text and "16 for this batch" in text


def test_remedies_leave_out_what_is_done():
  done = config()
  assert done.encoder.dtype == "bfloat16" and done.encoder.block == "fused"
  with done.unlocked():
    done.micro_batches = 2
  text = roofline.remedies(done, 4, 2000, 1000)
  assert not re.search("dtype|block|remat|micro", text) and "--batch" in text
  # A checkpoint's encoder is not the config's to change; one row a chip is
  # the least.
  plain = finetune.get_config()
  with plain.unlocked():
    plain.batch_size = 4
  text = roofline.remedies(plain, 4, 2000, 1000)
  assert text == "more chips, about 16 for this batch"


def test_report():
  plan = {
      "kind": "distill", "signals": ["acc", "ppg"], "chip": "v5e",
      "topology": "v5e:4x4", "chips": 16, "hosts": 4, "batch": 4096,
      "parameters": 7_000_000, "peak_memory_bytes": 4 * roofline.GIB,
      "flops": 2.5e12, "bytes_accessed": 8.0e10, "hbm_bytes": 4.0e10,
      "bytes_received": 5e7,
      "collectives": {
          "all-reduce": dict(
              count=2, bytes=30_000_000, bytes_by_type={"f32": 30_000_000}
          ),
      },
      **roofline.times(roofline.CHIPS["v5e"], dict(
          bf16_flops=2.5e12, bytes_accessed=8.0e10, hbm_bytes=4.0e10,
          bytes_received=5e7,
      )),
      **roofline.rates(8.0e10 / 819e9, 4096, 20_000_000, 50_000, 4),
      "assumed": ["a teacher"],
  }
  lines = roofline.report(plan).splitlines()
  assert "16 chips, 4 host(s), batch 4,096 (256 a chip)" in lines[0]
  bound = [line for line in lines if line.endswith("<- the bound")]
  (memory,) = bound
  assert "80.00 GB accessed" in memory and "97.680 ms" in memory
  text = "\n".join(lines)
  assert "4.00 GiB of 16.00 GiB" in text
  assert "2 all-reduce of 30.00 MB (f32)" in text
  # 4,096 / 97.68 ms; 20 M / that / 3,600; that x 50 kB, over four hosts.
  assert "41,933 segments/s, 0.13 hours for 20,000,000 segments; 0.07" in text
  assert "524 MB/s of input on each host, 2,097 MB/s in all; 2.0" in text
  assert lines[-1] == "assumed: a teacher"
  assert isinstance(ml_collections.ConfigDict(plan).to_json(), str)
