"""The real mains as two processes train what one trains, or say why not.

What may befall one of several processes is tested with a toy main in
`tests/train/test_processes.py`.
"""

import re
import shutil
import signal
import socket

import numpy as np
import pytest

from accfm import pretrain
from accfm.configs import acc_mae
from accfm.data import manifest
from accfm.train import writer
from accfm.train.checkpoints import reader
from tests import processes
from tests.data import shards

HOST = socket.gethostname()


def flags(data_dir, workdir, *more, config="acc_mae", steps=3):
  return (
      f"--config={config}:tiny", f"--workdir={workdir}",
      f"--config.data_dir={data_dir}", f"--config.total_steps={steps}",
      "--config.log_every=1", "--config.checkpoint_every=2",
      "--config.validate_every=2", *more,
  )


def leaves(tree, prefix=""):
  for key, value in tree.items():
    if isinstance(value, dict):
      yield from leaves(value, f"{prefix}{key}.")
    else:
      yield prefix + key, np.asarray(value)


def check_same(a, b, step):
  """The same up to the order of sums: losses to 1e-5, weights to 1e-6.

  The bias of attention's keys moves no loss: its gradient is rounding alone,
  of which Adam makes steps as long as any.
  """
  rows = [
      [(row["step"], name, row[name]) for row in writer.load_rows(path)
       for name in sorted(row)
       if name in ("train/loss", "train/grad_norm") or "val/" in name]
      for path in (a, b)
  ]
  assert [r[:2] for r in rows[0]] == [r[:2] for r in rows[1]]
  assert sum(name == "train/loss" for _, name, _ in rows[0]) == step
  np.testing.assert_allclose(
      [r[2] for r in rows[0]], [r[2] for r in rows[1]], rtol=1e-5
  )
  one, two = reader.load(a), reader.load(b)
  assert one.step == two.step == step
  for part in ("params", "carried", "frozen"):
    x, y = (dict(leaves(getattr(c, part))) for c in (one, two))
    assert x.keys() == y.keys()
    for name in x:
      if name.endswith("qkv.bias"):
        third = x[name].size // 3
        x[name][third:2 * third] = y[name][third:2 * third]
      np.testing.assert_allclose(x[name], y[name], atol=1e-6, err_msg=name)


@pytest.mark.full
def test_two_processes_train_what_one_trains(simulated, tmp_path):
  one, two = tmp_path / "one", tmp_path / "two"
  given = flags(simulated, two)
  with processes.Job("-m", "accfm.pretrain", *given, devices=4) as job:
    config = acc_mae.get_config("tiny")
    config.update(data_dir=simulated, total_steps=3, log_every=1,
                  checkpoint_every=2, validate_every=2)
    pretrain.run(config, str(one))
    assert job.ends() == [0, 0], job.said(0) + job.said(1)
  check_same(one, two, step=3)
  assert "step 3/3" in job.said(0) and "8 device(s)" in job.said(0)
  # 0 speaks for all. Gloo's threads greet, some in the middle of others.
  assert "step" in job.said(0) and "step" not in job.said(1)


@pytest.mark.full
def test_a_process_with_another_config_is_named(simulated, tmp_path):
  with processes.Job(
      "-m", "accfm.pretrain", *flags(simulated, tmp_path / "w"), devices=4,
      each={1: ["--config.lr=0.5", "--config.seed=3"]},
  ) as job:
    assert job.ends() == [2, 2]
  for i in (0, 1):
    (line,) = job.errors(i)
    assert f"process 1 of 2 (host {HOST}): config differs in lr: 0.5 v. " in (
        line
    ) and "seed: 3 v. 0 of the others" in line
    assert "Traceback" not in job.said(i)
  assert not (tmp_path / "w").exists()


@pytest.mark.full
@pytest.mark.parametrize("first, second", [((2, 2), (1, 4)), ((1, 4), (2, 2)),
                                           ((1, 8), (1, 1)), ((1, 1), (2, 4))])
def test_resuming_with_other_processes(simulated, tmp_path, first, second):
  """(processes, devices of each) before and after a kill."""
  whole, mixed = tmp_path / "whole", tmp_path / "mixed"
  for path, (count, devices), fault, want in (
      (whole, (1, 1), "", 0),
      (mixed, first, "before_save:6", -signal.SIGKILL),
      (mixed, second, "", 0),
  ):
    with processes.Job("-m", "accfm.pretrain",
                       *flags(simulated, path, steps=6), count=count,
                       devices=devices, ACCFM_FAULT=fault) as job:
      assert want in job.ends(), job.said(0)
  assert "resumed from the checkpoint of step 4" in job.said(0)
  check_same(whole, mixed, step=6)


@pytest.mark.full
def test_a_state_that_is_split_over_processes(simulated, tmp_path):
  """Each saves what it holds; one device loads it whole."""
  whole, split = tmp_path / "whole", tmp_path / "split"
  for path, count, devices, fault in (
      (whole, 1, 1, ""), (split, 2, 2, "before_save:6"), (split, 1, 1, "")
  ):
    more = ("--config.fsdp=4",) if count > 1 else ()
    with processes.Job("-m", "accfm.pretrain",
                       *flags(simulated, path, *more, steps=6), count=count,
                       devices=devices, ACCFM_FAULT=fault) as job:
      assert (-signal.SIGKILL if fault else 0) in job.ends(), job.said(0)
  assert "resumed from the checkpoint of step 4" in job.said(0)
  check_same(whole, split, step=6)


@pytest.mark.full
def test_distillation(simulated, tmp_path):
  """A frozen teacher, retrieval over all rows in validation."""
  teacher = tmp_path / "teacher"
  with processes.Job(
      "-m", "accfm.pretrain", *flags(simulated, teacher, config="ppg_mae"),
      count=1,
  ) as job:
    assert job.ends() == [0]
  for name, count, devices in (("one", 1, 4), ("two", 2, 2)):
    with processes.Job(
        "-m", "accfm.distill",
        *flags(simulated, tmp_path / name, config="acc_distill"),
        f"--config.teacher={teacher}", count=count, devices=devices,
    ) as job:
      assert job.ends() == [0] * count, job.said(0)
  check_same(tmp_path / "one", tmp_path / "two", step=3)


@pytest.mark.full
def test_supervised(simulated, tmp_path):
  for name, count, devices in (("one", 1, 4), ("two", 2, 2)):
    with processes.Job(
        "-m", "accfm.supervise", *flags(simulated, tmp_path / name,
                            config="acc_supervised"),
        count=count, devices=devices,
    ) as job:
      assert job.ends() == [0] * count, job.said(0)
  check_same(tmp_path / "one", tmp_path / "two", step=3)


# --- one of them differs -----------------------------------------------------


@pytest.mark.full
def test_a_process_with_other_data_is_named(simulated, tmp_path):
  other = tmp_path / "other"
  shutil.copytree(simulated, other)
  shards.rewrite(
      manifest.find(other, "simulated_easy"), 0, shards.put_scale([1, 1, 1])
  )
  with processes.Job(
      "-m", "accfm.pretrain", *flags(simulated, tmp_path / "w"),
      each={1: [f"--config.data_dir={other}"]},
  ) as job:
    assert job.ends() == [2, 2]
  for i in (0, 1):
    (line,) = job.errors(i)
    assert re.search(
        r'data differs in simulated_easy hash: "\w{16}" v. "\w{16}"', line
    )


@pytest.mark.full
def test_a_process_that_lacks_its_data(simulated, tmp_path):
  with processes.Job(
      "-m", "accfm.pretrain", *flags(simulated, tmp_path / "w"),
      each={1: [f"--config.data_dir={tmp_path / 'no'}"]},
  ) as job:
    assert job.ends() == [2, 2]
  own, theirs = job.errors(1)[0], job.errors(0)[0]
  assert own.startswith("error: data_dir") and "no such folder" in own
  assert theirs == own.replace(
      "error: ", f"error: process 1 of 2 (host {HOST}) stopped: "
  )


@pytest.mark.full
def test_a_flag_that_one_process_does_not_know(simulated, tmp_path):
  with processes.Job(
      "-m", "accfm.pretrain", *flags(simulated, tmp_path / "w"),
      each={0: ["--config.nonsense=1"]},
  ) as job:
    assert job.ends() == [2, 2]
  assert "stopped: config field 'nonsense' is unknown" in job.errors(1)[0]


@pytest.mark.full
def test_a_batch_that_does_not_divide(simulated, tmp_path):
  with processes.Job("-m", "accfm.pretrain", *flags(
      simulated, tmp_path / "w", "--config.batch_size=6")) as job:
    assert job.ends() == [2, 2]
  for i in (0, 1):
    assert job.errors(i)[0].startswith(
        "error: batch_size: got 6 for 4 devices of 2 processes, want a "
        "multiple of 4"
    )
