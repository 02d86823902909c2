"""Workers begin only where their batches have room."""

import os
import types

import pytest

from accfm.base.errors import InputError
from accfm.data import sharedmemory
from accfm.signals.contract import Contract, SignalSpec

CONTRACT = Contract(
    {"acc": SignalSpec(3, "g", "acc"), "ppg": SignalSpec(1, "au", "ppg")},
    rate_hz=64.0, window_sec=8.0,
)


def room(monkeypatch, tmp_path, free):
  """/dev/shm with so many bytes free, and more for root alone."""
  monkeypatch.setattr(sharedmemory, "FOLDER", str(tmp_path))
  monkeypatch.setattr(os, "statvfs", lambda path: types.SimpleNamespace(
      f_frsize=1024, f_bavail=free // 1024, f_bfree=1 << 40, f_blocks=1 << 40,
  ))


def test_the_bytes_of_a_batch():
  """int16 samples, and a float32 scale for each channel."""
  want = 0
  for _row in range(5):
    for _channel in range(4):
      want += 512 * 2 + 4
  got = sharedmemory.batch_bytes(CONTRACT, ("acc", "ppg"), 5)
  assert got == want


@pytest.mark.parametrize("workers, prefetch, held", [
    (1, 1, 5), (2, 1, 9), (2, 3, 17), (3, 2, 19), (2, 0, 9),
])
def test_a_run_needs_room_for_what_its_workers_hold(
    monkeypatch, tmp_path, workers, prefetch, held
):
  """`held` is what grain was seen to hold, one of them by the reader."""
  size = 1 << 20
  needed = (held - 1 + sharedmemory.HELD) * size
  room(monkeypatch, tmp_path, needed)
  sharedmemory.check(workers, prefetch, size)
  room(monkeypatch, tmp_path, needed - 1024)
  with pytest.raises(InputError) as error:
    sharedmemory.check(workers, prefetch, size)
  text = str(error.value)
  assert "\n" not in text and str(tmp_path) in text
  assert f"workers: got {workers} " in text and "--shm-size=" in text
  assert f"{needed / 2**20:.1f} MiB in all" in text
  sharedmemory.check(0, prefetch, size)  # threads


def test_a_machine_without_the_folder_has_room(monkeypatch, tmp_path):
  monkeypatch.setattr(sharedmemory, "FOLDER", str(tmp_path / "absent"))
  sharedmemory.check(8, 2, 1 << 60)


def test_a_folder_that_cannot_be_written_has_none(monkeypatch, tmp_path):
  room(monkeypatch, tmp_path, 1 << 40)
  monkeypatch.setattr(os, "access", lambda path, mode: False)
  with pytest.raises(InputError, match="not 0.0 MiB"):
    sharedmemory.check(1, 1, 1)
