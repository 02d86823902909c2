"""Ctrl-C in each main: one line, exit code 130, and the same command goes on.

`accfm prepare` is interrupted in `tests/test_prepare.py`, and what a signal
does inside a process is tested in `tests/base/test_interrupts.py`. All
processes here are real; they end by a signal at a named point, or at a line
that they wrote.
"""

import json
import os
import signal

import pytest

from accfm import evaluate, pretrain
from accfm.base import locks
from accfm.base.errors import InputError
from accfm.configs import acc_mae
from accfm.configs import evaluate as evaluate_config
from accfm.train import checkpoints, writer
from tests.processes import Job

LINE = "stopped by Ctrl-C; run the same command again"


def started(main, *flags, fault="", **more):
  return Job("-m", f"accfm.{main}", *flags, devices=1, ACCFM_FAULT=fault,
             **{"count": 1, **more})


def ended(*arguments, **more):
  """(exit code, all that it wrote); all its children have ended too."""
  with started(*arguments, **more) as job:
    return job.end(0), job.said(0)


def training(data_dir, workdir, *more):
  return (
      "--config=acc_mae:tiny", f"--workdir={workdir}",
      f"--config.data_dir={data_dir}", "--config.total_steps=3",
      "--config.validate_every=0", *more,
  )


def train(data_dir, work):
  """Trains to the end, in this process."""
  config = config_of(data_dir)
  config.total_steps, config.validate_every = 3, 0
  pretrain.run(config, str(work))


@pytest.fixture(scope="module")
def trained(simulated, tmp_path_factory):
  """The workdir of a run that has ended."""
  work = tmp_path_factory.mktemp("run")
  train(simulated, work)
  return work


@pytest.mark.parametrize("fault, code, line, more", [
    ("after_step:1=SIGINT", 130, "stopped by Ctrl-C: saved step 1; run ag",
     "--config.workers=1"),
    pytest.param(
        "in_step:2=SIGTERM", 143, "stopped by SIGTERM: saved step 2; run ag",
        "--config.workers=0", marks=pytest.mark.full),
])
def test_a_training_saves_before_it_ends(
    simulated, tmp_path, fault, code, line, more
):
  got, said = ended(
      "pretrain", *training(simulated, tmp_path, more), fault=fault)
  assert got == code and line in said and "Traceback" not in said, said
  assert not list(tmp_path.glob(".*"))  # no lock is left
  train(simulated, tmp_path)
  rows = [row["step"] for row in writer.load_rows(tmp_path)]
  assert checkpoints.load(tmp_path).step == 3 and rows == [1, 2, 3]


@pytest.mark.full
def test_a_second_one_ends_it_at_once():
  code, said = ended(
      "plan", "--config=acc_mae:tiny", "--topology=v5e:4x4",
      fault="begin:0=SIGINT,SIGINT",
  )
  assert (code, said) == (130, "stopped at once by a second Ctrl-C")


# All go through `mains.Main`, so that one of them stands for the others.
@pytest.mark.parametrize("main, flags", [
    ("study", ["--config=study:tiny", "--workdir=w"]),
    *(pytest.param(main, flags, marks=pytest.mark.full) for main, flags in (
        ("distill", ["--config=acc_distill:tiny", "--workdir=w"]),
        ("supervise", ["--config=acc_supervised:tiny", "--workdir=w"]),
        ("plan", ["--config=acc_mae:tiny", "--topology=v5e:4x4"]),
        ("tabulate", ["--runs=a=b", "--out=c"]),
    )),
])
def test_before_a_main_has_begun(main, flags):
  code, said = ended(main, *flags, fault="begin:0=SIGINT")
  assert code == 130 and said.startswith(LINE) and "\n" not in said, said


@pytest.mark.full
def test_an_evaluation(trained, tmp_path):
  flags = ("--config=evaluate:tiny", f"--checkpoint={trained}",
           f"--workdir={tmp_path}", "--config.report=false",
           "--config.save_embeddings=true")
  code, said = ended(
      "evaluate", *flags, fault="before_evaluator:reidentify=SIGINT"
  )
  lines = said.splitlines()
  assert code == 130 and lines[-1].startswith(LINE), said
  assert "measuring reidentify" in lines[-2] and "Traceback" not in said
  assert os.listdir(tmp_path) == ["embeddings"]
  code, said = ended("evaluate", *flags)
  assert code == 0 and "read, made of the same rows" in said, said


@pytest.mark.full
def test_a_watch_that_waits(tmp_path):
  with started(
      "evaluate", "--config=evaluate:tiny", "--watch",
      f"--checkpoint={tmp_path}/run", f"--workdir={tmp_path}/out",
  ) as job:
    job.until(0, "waiting for a run to begin")
    job.send(0, signal.SIGINT)
    assert job.end(0) == 130
    assert job.lines[0][-1].startswith(LINE), job.said(0)
    assert len(job.lines[0]) == 2


@pytest.mark.full
def test_a_study_saves_the_run_it_is_at(simulated, tmp_path):
  code, said = ended(
      "study", "--config=ablations:tiny", f"--workdir={tmp_path}",
      f"--config.data_dir={simulated}", fault="after_step:1=SIGINT",
  )
  assert code == 130 and "stopped by Ctrl-C: saved step 1" in said, said
  assert "Traceback" not in said and not list(tmp_path.rglob(".*"))


@pytest.mark.full
def test_one_of_two_processes(simulated, tmp_path):
  """The job ends; nobody waits for ever for the one that left."""
  with started(
      "pretrain", *training(simulated, tmp_path), count=2,
      fault="after_step:1=SIGINT", each={1: ("--config.log_every=1",)},
  ) as job:
    assert job.ends() == [130, 130]
    for i in (0, 1):
      assert "stopped by Ctrl-C" in job.said(i), job.said(i)
      assert "Traceback" not in job.said(i)


def config_of(data_dir):
  config = acc_mae.get_config("tiny").unlock()
  config.data_dir = data_dir
  return config


def test_two_trainings_of_one_workdir(simulated, tmp_path):
  with locks.held(tmp_path, "accfm study"):
    with pytest.raises(InputError, match="accfm study .PID .* uses this work"):
      pretrain.run(config_of(simulated), str(tmp_path))
  assert not os.listdir(tmp_path)


@pytest.mark.full
def test_a_job_of_two_processes_in_a_workdir_that_is_held(simulated, tmp_path):
  """Process 0 alone would hold it; the other one does not wait for ever."""
  with locks.held(tmp_path, "accfm study"):
    with started(
        "pretrain", *training(simulated, tmp_path), count=2
    ) as job:
      assert job.ends() == [2, 2]
      assert "error: " in job.said(0) and f"PID {os.getpid()}" in job.said(0)
      assert "Traceback" not in job.said(0) + job.said(1)
  assert not os.listdir(tmp_path)


def test_two_evaluations_of_one_workdir(trained, tmp_path):
  config = evaluate_config.get_config("tiny")
  with locks.held(tmp_path, "accfm evaluate", locks.EVALUATION):
    for watch in (False, True):
      with pytest.raises(InputError, match="accfm evaluate .PID .* uses this"):
        evaluate.run(config, str(trained), str(tmp_path), watch)


def test_an_evaluation_beside_the_training_in_its_workdir(trained):
  config = evaluate_config.get_config("tiny").unlock()
  config.evals, config.report, config.untrained = ("health",), False, False
  with locks.held(trained, "accfm pretrain"):
    evaluate.run(config, str(trained), str(trained))
  found = json.loads((trained / "metrics.json").read_text())
  assert found["_meta"]["step"] == 3


@pytest.mark.full
def test_files_that_may_not_grow_are_one_line(trained, tmp_path):
  """As on a full disk, which only a privileged user can make."""
  code = (
      "import resource\n"
      "from accfm import evaluate\n"
      "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
      "evaluate.MAIN.start(program='accfm evaluate')\n"
  )
  with Job(
      "-c", code, "--config=evaluate:tiny", f"--checkpoint={trained}",
      f"--workdir={tmp_path}", count=1, devices=1,
      JAX_COMPILATION_CACHE_DIR="",
  ) as job:
    assert job.end(0) == 2, job.said(0)
    assert job.lines[0][-1].startswith("error: "), job.said(0)
    assert "File too large; allow larger files" in job.lines[0][-1]
  assert not list(tmp_path.rglob("*.partial"))
  assert not (tmp_path / "metrics.json").exists()


def test_no_room_for_an_evaluation_is_told_before_it(
    trained, tmp_path, monkeypatch
):
  from accfm.evals.embedding import forward
  from accfm.evals.files import space

  def embed(*unused, **more):
    raise AssertionError("embedded before it looked for room")

  monkeypatch.setattr(forward, "embed_split", embed)
  monkeypatch.setattr(
      space.shutil, "disk_usage",
      lambda path: space.shutil._ntuple_diskusage(2**30, 2**30, 10**6),
  )
  config = evaluate_config.get_config("tiny").unlock()
  config.save_embeddings = True
  out = tmp_path / "a" / "b"
  with pytest.raises(InputError, match="1 MB free, want about .* MB .embeddi"):
    evaluate.run(config, str(trained), str(out))
  assert not os.listdir(tmp_path)


@pytest.mark.full
def test_ctrl_c_of_a_terminal_reaches_the_whole_group(tmp_path):
  """Worker processes say nothing of it, and none is left."""
  code = (
      "import os, signal\n"
      "from accfm import prepare\n"
      "from accfm.base import faults\n"
      "def point(name, index):\n"
      "  if (name, index) == ('after_recording', 1):\n"
      "    os.killpg(0, signal.SIGINT)\n"
      "faults.point = point\n"
      "prepare.MAIN.start(program='accfm prepare')\n"
  )
  with Job(
      "-c", code, "--config=prepare:simulated,participants=4,minutes=1",
      "--config.workers=2", f"--data_dir={tmp_path}", count=1, group=True,
  ) as job:
    assert job.end(0) == 130, job.said(0)
    assert job.lines[0][-1].startswith(LINE), job.said(0)
    assert all(x.startswith("prepare: ") for x in job.lines[0][:-1])
