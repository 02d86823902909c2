"""The real mains, killed at fault points, end bit for bit as if left alone.

The loop itself is tested so in `tests/train/test_resume.py`; here what a
main adds: the data's order, the augmentation's keys, the frozen teacher.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from accfm.train import checkpoints, writer

ROOT = pathlib.Path(__file__).parents[1]
KILLED = -signal.SIGKILL


def words(main, config, data_dir, workdir, *overrides, arg=""):
  """The command line of six tiny steps, without Python."""
  return [
      f"accfm.{main}", f"--config={config}:tiny{arg}",
      f"--workdir={workdir}", f"--config.data_dir={data_dir}",
      "--config.total_steps=6", "--config.checkpoint_every=2",
      "--config.validate_every=4", *overrides,
  ]


def command(main, config, data_dir, workdir, *overrides, arg="", fault=""):
  """Runs `python -m accfm.<main>` for six tiny steps: (exit code, stderr)."""
  done = subprocess.run(
      [sys.executable, "-m",
       *words(main, config, data_dir, workdir, *overrides, arg=arg)],
      cwd=ROOT, env={**os.environ, "ACCFM_FAULT": fault}, text=True,
      capture_output=True, timeout=300,
  )
  return done.returncode, done.stderr


def leaves(tree, prefix=""):
  for name, value in tree.items():
    if isinstance(value, dict):
      yield from leaves(value, f"{prefix}{name}.")
    else:
      yield prefix + name, value


def check_same(a, b):
  """Last checkpoints, and the losses of every step, to the last bit."""
  one, two = checkpoints.load(a), checkpoints.load(b)
  assert one.step == two.step == 6
  for x, y in ((one.params, two.params), (one.frozen, two.frozen),
               (one.carried, two.carried)):
    x, y = dict(leaves(x)), dict(leaves(y))
    assert x.keys() == y.keys()
    for name in x:
      assert np.asarray(x[name]).tobytes() == np.asarray(y[name]).tobytes(), (
          name
      )
  losses = [
      [(row["step"], name, row[name]) for row in writer.load_rows(path)
       for name in ("train/loss", "val/loss") if name in row]
      for path in (a, b)
  ]
  assert losses[0] == losses[1]
  assert [step for step, name, _ in losses[0] if name == "train/loss"] == [
      1, 2, 3, 4, 5, 6
  ]


def interrupted(run, whole, killed, faults):
  assert run(whole) == (0, "")
  for fault in faults:
    assert run(killed, fault=fault)[0] == KILLED, fault
  assert run(killed) == (0, "")
  check_same(whole, killed)


@pytest.mark.full
def test_pretraining(simulated, tmp_path):
  def run(workdir, fault=""):
    return command("pretrain", "acc_mae", simulated, workdir,
                   fault=fault)

  interrupted(run, tmp_path / "whole", tmp_path / "killed",
              ["during_save:4"])


@pytest.mark.full
@pytest.mark.parametrize("config, arg", [
    ("ppg_contrastive", ""), ("ppg_mae", ""),
    # Batch statistics and a momentum target are carried from step to step.
    ("acc_contrastive", ",positives=participant,encoder=efficientnet_tiny"),
])
def test_pretraining_at_every_fault_point(simulated, tmp_path, config, arg):
  def run(workdir, fault=""):
    return command("pretrain", config, simulated, workdir,
                   arg=arg, fault=fault)

  interrupted(run, tmp_path / "whole", tmp_path / "killed", [
      "after_step:1", "before_save:2", "during_save:2", "after_save:2",
      "after_step:4", "before_save:4", "after_save:4", "during_save:6",
  ])


@pytest.mark.full
def test_distillation_without_its_teacher(simulated, tmp_path):
  """The teacher's folder goes after the first save; the run goes on."""
  teacher = tmp_path / "teacher"
  assert command("pretrain", "ppg_mae", simulated, teacher)[0] == 0

  def run(workdir, fault=""):
    return command("distill", "acc_distill", simulated, workdir,
                   f"--config.teacher={teacher}", fault=fault)

  whole, killed = tmp_path / "whole", tmp_path / "killed"
  assert run(whole) == (0, "")
  assert run(killed, "during_save:2")[0] == KILLED  # nothing saved yet
  assert run(killed, "after_save:2")[0] == KILLED
  teacher.rename(tmp_path / "away")
  for fault in ("before_save:4", "after_save:4", "during_save:6"):
    assert run(killed, fault)[0] == KILLED, fault
  assert run(killed) == (0, "")
  check_same(whole, killed)


def killed_at(line, event, workdir, data_dir):
  """Kills a run once it has said so many lines, or at a file event of it.

  Returns:
    (exit code, lines of stdout).
  """
  process = subprocess.Popen(
      [sys.executable, "-m", "tests.killer",
       *words("pretrain", "acc_mae", data_dir, workdir)],
      cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
      env={**os.environ, "ACCFM_KILL": f"{event}:{re.escape(str(workdir))}"},
  )
  said = []
  with process:
    for text in process.stdout:
      said.append(text)
      if len(said) == line:
        process.kill()
  return process.returncode, said


@pytest.mark.full
def test_pretraining_killed_at_twenty_random_moments(simulated, tmp_path):
  """As often as it takes, each workdir until its run is through."""
  whole = tmp_path / "whole"
  code, said = killed_at(0, 0, whole, simulated)
  lines, events = len(said) - 1, int(said[-1].removeprefix("events:"))
  assert code == 0 and lines >= 8 and events > 100
  rng = np.random.default_rng(0)
  kills = number = 0
  while kills < 20:
    number += 1
    work, newest = tmp_path / f"killed{number}", None
    for _ in range(20):
      by_line = rng.random() < 0.5
      line = int(rng.integers(1, lines)) if by_line else 0
      event = 0 if by_line else int(rng.integers(1, events))
      code, said = killed_at(line, event or 10**9, work, simulated)
      resumed = re.findall("resumed from the checkpoint of step (.*)", "".join(
          said
      ))
      if said and "step" in "".join(said):
        assert resumed == ([str(newest)] if newest else [])
      saved = [
          int(p.name) for p in (work / "checkpoints").glob("[0-9]*")
          if p.name.isdecimal()
      ]
      steps = [int(s) for s in re.findall(r"^step (\d+)/6 \| loss",
                                          "".join(said), re.MULTILINE)]
      newest = max(saved, default=None)
      # Lost: at most the steps since the last checkpoint, one every two
      # steps, the newest of which may have been under way.
      assert max(steps, default=0) - (newest or 0) <= 4
      if code == 0:
        break
      assert code == KILLED
      kills += 1
    if code != 0:
      assert killed_at(0, 10**9, work, simulated)[0] == 0
    check_same(whole, work)
