"""Two processes do what one does; none is left waiting for another.

Real processes of the toy main, with the real loop. Whatever befalls one of
them, all end, say the same about it, and give the exit code that
`accfm.base.processes.cluster` promises. `tests/test_processes.py` has the
real mains.
"""

import re
import signal
import socket

import numpy as np
import pytest

from accfm.train import checkpoints, writer
from accfm.train.checkpoints import reader
from tests import processes
from tests.train import toy_main as toy

HOST = socket.gethostname()
MAIN = processes.ROOT / "tests/train/toy_main.py"
FOREVER = ("total_steps=1000000", "validate_every=0",
           "checkpoint_every=1000000")


def test_two_processes_train_what_one_trains(tmp_path):
  """And one goes on where two stopped."""
  path = tmp_path / "two"
  with processes.Job(MAIN, path, "total_steps=6", devices=4) as job:
    want = toy.leaves(
        toy.run(tmp_path / "one", toy.get_config(total_steps=6), devices=8)
    )
    assert job.ends() == [0, 0], job.said(0) + job.said(1)
  got = np.load(path / "final.npz")
  assert sorted(got) == sorted(want)
  for name in want:  # up to the order of sums
    np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=1e-6)
  a, b = ({(row["step"], name): row[name] for row in writer.load_rows(p)
           for name in ("train/loss", "val/size") if name in row}
          for p in (tmp_path / "one", path))
  assert a.keys() == b.keys() and len(a) == 8
  np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5)
  # 0 speaks for all. Gloo's threads greet, some in the middle of others.
  assert "step 6/6" in job.said(0) and "step" not in job.said(1)
  saved = checkpoints.load(path)
  assert saved.step == 6
  np.testing.assert_array_equal(
      saved.params["student"]["w"], got[".params['student']['w']"]
  )


def test_a_process_with_another_config_is_named(tmp_path):
  with processes.Job(MAIN, tmp_path / "w", each={1: ["seed=3"]}) as job:
    assert job.ends() == [2, 2]
  for i in (0, 1):
    assert job.errors(i) == [
        f"error: process 1 of 2 (host {HOST}): config differs in seed: 3 v. 0 "
        "of the others"
    ]
    assert "Traceback" not in job.said(i)
  assert not (tmp_path / "w").exists()


@pytest.mark.full
@pytest.mark.parametrize("there, missing", [(0, 1), (1, 0)])
def test_a_process_that_never_arrives(tmp_path, there, missing):
  with processes.Job(
      MAIN, tmp_path / "w", start=[there],
      ACCFM_START_SECONDS="2",
  ) as job:
    assert job.ends() == [2]
  (line,) = job.errors(there)
  assert {
      1: "error: process 1 of 2 did not arrive within 2 s",
      0: f"error: process 1 of 2 (host {HOST}): process 0 did not answer at ",
  }[missing] in line


@pytest.mark.full
def test_a_bad_step_is_skipped_by_all(tmp_path):
  fields = ("total_steps=10", "nan_at=6", "on_bad_step=skip")
  for name, count, devices in (("one", 1, 4), ("two", 2, 2)):
    with processes.Job(MAIN, tmp_path / name, *fields, count=count,
                       devices=devices) as job:
      assert job.ends() == [0] * count, job.said(0)
  one, two = (np.load(tmp_path / n / "final.npz") for n in ("one", "two"))
  assert one[".step"] == two[".step"] == 10
  for name in one:
    np.testing.assert_allclose(one[name], two[name], rtol=1e-5, atol=1e-6)


# --- one of them ends, or stands still ---------------------------------------


@pytest.mark.full
@pytest.mark.parametrize("dead, left", [(1, 0), (0, 1)])
def test_a_process_that_is_killed(tmp_path, dead, left):
  with processes.Job(MAIN, tmp_path / "w", *FOREVER) as job:
    job.until(0, "step 5/")
    # JAX's service too listens at the given address alone, localhost.
    socket.create_connection(("127.0.0.1", job.port)).close()
    with pytest.raises(ConnectionRefusedError):
      socket.create_connection(("127.0.0.2", job.port))
    job.send(dead, signal.SIGKILL)
    assert job.end(dead) == -signal.SIGKILL
    assert job.end(left) == 75, job.said(left)
  said = job.errors(left)
  assert len(said) == 1 and f"process {dead} of 2 (host {HOST}) is gone" in (
      said[0]
  )
  assert dead == 0 or " step " in said[0]


@pytest.mark.full
@pytest.mark.parametrize("stopped, left", [(1, 0), (0, 1)])
@pytest.mark.parametrize("lost, stall, limits", [
    (3, 300, "3"), (60, 3, "3 18"),  # the longer where a first step was told
])
def test_a_process_that_is_stopped(
    tmp_path, stopped, left, lost, stall, limits
):
  with processes.Job(MAIN, tmp_path / "w", *FOREVER, f"stall_seconds={stall}",
                     ACCFM_LOST_SECONDS=str(lost)) as job:
    job.until(0, "step 8/")
    job.send(stopped, signal.SIGSTOP)
    assert job.end(left) == 75, job.said(left)
    job.send(stopped, signal.SIGCONT)  # to find the job gone, as jax may
    assert job.end(stopped) in (75, 76, -signal.SIGABRT)
  (line,) = job.errors(left)
  want = (
      fr"error: process {stopped} of 2 \(host {re.escape(HOST)}\) gave no sign "
      r"of life for (\d+) s \(stopped, or cut off\)"
  )
  assert re.match(want, line)[1] in limits.split()


@pytest.mark.full
def test_a_process_that_reads_for_ever(tmp_path):
  with processes.Job(MAIN, tmp_path / "w", *FOREVER, "stall_seconds=3",
                     "hang_at=8") as job:
    assert job.ends() == [76, 76], job.said(0) + job.said(1)
  for i in (0, 1):
    assert job.errors(i) == [
        f"error: process 1 of 2 (host {HOST}) did not get on for 3 s while "
        "reading the batch of step 9; the others wait for it "
        "(config.stall_seconds)"
    ]


@pytest.mark.full
def test_an_error_of_one_process(tmp_path):
  with processes.Job(MAIN, tmp_path / "w", *FOREVER, "break_at=8") as job:
    assert job.ends() == [1, 1], job.said(0) + job.said(1)
  (theirs,), (own,) = job.errors(0), job.errors(1)
  assert own == "error: ZeroDivisionError: batch 8 of process 1"
  assert "Traceback" in job.said(1) and "Traceback" not in job.said(0)
  assert theirs == own.replace(
      "error: ", f"error: process 1 of 2 (host {HOST}) stopped: "
  )


@pytest.mark.full
@pytest.mark.parametrize("whom", [(0,), (1,), (0, 1)])
def test_sigterm_saves_one_step_everywhere(tmp_path, whom):
  given = MAIN, tmp_path / "w", *FOREVER
  with processes.Job(*given) as job:
    job.until(0, "step 5/")
    for i in whom:
      job.send(i, signal.SIGTERM)
    assert job.ends() == [143, 143], job.said(0) + job.said(1)
  step = reader.load(tmp_path / "w").step
  assert f"SIGTERM: saved step {step}" in job.said(0) and step >= 5
  with processes.Job(*given) as job:
    job.until(0, f"resumed from the checkpoint of step {step}")
    job.until(0, f"step {step + 2}/")
