"""A run killed at every fault point ends bit for bit like one left alone.

Real processes: one workdir is killed again and again, each time by the same
command, and compared with an uninterrupted run of that command. Batch 5 holds
a NaN and is left out, so the rollback is among what is interrupted.
"""

import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from accfm.train import checkpoints, writer

ROOT = pathlib.Path(__file__).parents[2]
KILLED = -signal.SIGKILL


BAD = {"nan_at": 5, "on_bad_step": "skip"}


def toy(path, cache, fault="", kill="", **fields):
  """Runs the toy main in a workdir: (exit code, stdout, stderr).

  What one process compiles the others take from `cache`.
  """
  process = subprocess.run(
      [sys.executable, ROOT / "tests/train/toy_main.py", path]
      + [f"{name}={value}" for name, value in {**BAD, **fields}.items()],
      env={
          **os.environ,
          "ACCFM_FAULT": fault,
          "ACCFM_KILL": kill,
          "PYTHONPATH": str(ROOT),
          "OMP_NUM_THREADS": "1",
          "JAX_COMPILATION_CACHE_DIR": str(cache),
          "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
          "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
      },
      capture_output=True,
      text=True,
      timeout=300,
  )
  return process.returncode, process.stdout, process.stderr


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
  """(whole workdir, interrupted workdir, [what each start did])."""
  whole, path, cache = map(tmp_path_factory.mktemp, ("whole", "killed", "jit"))
  steps = path / "checkpoints"
  assert toy(whole, cache)[::2] == (0, "")
  story = []
  for fault, fields in [
      ("in_step:2", {}),
      ("during_save:4", {}),
      ("before_save:8", {}),
      ("during_restore:4", {}),
      ("after_save:8", {}),
      ("", {"kill": "1:shutil.rmtree .*/checkpoints/4$"}),
      ("", {"sigterm_at": 12}),
      ("", {"full_at": 13}),
      ("", {}),
  ]:
    code, out, err = toy(path, cache, fault, **fields)
    found = sorted(p.name for p in steps.iterdir()) if steps.is_dir() else []
    story.append((code, found, out, err))
  return whole, path, story


def test_each_kill_leaves_what_was_saved_before_it(killed):
  codes = [code for code, *_ in killed[2]]
  assert codes == [KILLED] * 6 + [143, 2, 0]
  found = [names for _, names, *_ in killed[2]]
  assert found[0] == []
  assert found[1] == ["4.orbax-checkpoint-tmp"]  # written, not yet committed
  assert found[2] == found[3] == ["4"]
  assert found[4] == ["4", "8"]
  assert found[5] == ["12", "4", "8"]  # saved, and 4 not yet removed
  assert found[6] == ["12", "13", "8"]
  assert found[7] == found[6]  # the disk was full at step 14


def test_each_start_resumes_from_the_newest(killed):
  starts = [
      [line for line in out.splitlines() if "resumed" in line][:1]
      for _, _, out, _ in killed[2]
  ]
  # The third goes back from batch 5; the fourth dies before it says so.
  want = [None, None, 4, None, 4, 8, 12, 13, 13]
  for lines, step in zip(starts, want, strict=True):
    text = f"resumed from the checkpoint of step {step}"
    assert lines == ([] if step is None else [text])


def test_a_full_disk_is_one_clear_line(killed):
  _, _, _, err = killed[2][7]
  assert "Traceback" not in err
  (line,) = [line for line in err.splitlines() if line.startswith("error:")]
  assert line.startswith("error: checkpoint of step 14: got 'File too large'")
  assert "it resumes from step 13" in err


def test_nothing_else_is_said_on_stderr(killed):
  assert [err for i, (_, _, _, err) in enumerate(killed[2]) if i != 7] == [
      ""
  ] * 8


def test_the_end_is_bit_identical(killed):
  whole, path, _ = killed
  want, got = np.load(whole / "final.npz"), np.load(path / "final.npz")
  assert sorted(got) == sorted(want) and len(want.files) > 8
  for name in want:
    assert got[name].tobytes() == want[name].tobytes(), name
  for step in ("latest", "best"):
    a, b = checkpoints.load(whole, step), checkpoints.load(path, step)
    assert a.step == b.step
    np.testing.assert_array_equal(
        a.params["student"]["w"], b.params["student"]["w"]
    )


def test_metrics_hold_each_step_once(killed):
  whole, path, _ = killed
  timed = ("segments_per_s", "data_wait_share", "time_left_s")

  def rows(p):
    return [
        {n: v for n, v in row.items() if not n.endswith(timed)}
        for row in writer.load_rows(p)
    ]

  assert rows(path) == rows(whole)
