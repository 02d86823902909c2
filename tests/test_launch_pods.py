"""launch/tpu_vm.sh on stand-ins, and what all scripts of clusters share.

No script is run on a real cluster.
"""

import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys

import pytest

from tests.standins import ROOT, Pods

LAUNCH = ROOT / "launch"

@pytest.fixture
def pods(tmp_path):
  return Pods(tmp_path)


SLICE = ["--project=p", "--zone=z", "--name=n"]
WHERE = ["--project=p", "--zone=z"]
TPUS = ["compute", "tpus"]
MAIN = ["distill", "--config=acc_distill:tiny,lambda=1.0",
        "--config.datasets=('a b', \"c\")", "--workdir=$HOME/a & b"]


def test_a_queued_resource(pods):
  args = ["create", *SLICE, "--accelerator_type=v5litepod-16",
          "--runtime_version=v2-alpha-tpuv5-lite"]
  done = pods.run("tpu_vm.sh", *args)
  assert done.returncode == 0, done.stderr
  want = [*TPUS, "queued-resources", "create", "n", "--node-id=n",
          "--accelerator-type=v5litepod-16",
          "--runtime-version=v2-alpha-tpuv5-lite"]
  assert pods.notes == [[*want, *WHERE]]
  pods.run("tpu_vm.sh", *args, "--spot", "--gcloud_flag=--network=a b",
           "--track=alpha")
  assert pods.notes == [["alpha", *want, "--spot", *WHERE, "--network=a b"]]


@pytest.mark.parametrize("args, wanted", [
    ([], "got '', want create, install"),
    (["make", *SLICE], "got 'make', want create"),
    (["create", *SLICE[1:]], "--project is missing"),
    (["run", SLICE[0], SLICE[2], "distill"], "--zone is missing"),
    (["delete", *SLICE[:2]], "--name is missing"),
    (["create", *SLICE, "--runtime_version=v"], "--accelerator_type is miss"),
    (["create", *SLICE, "--accelerator_type=t"], "--runtime_version is miss"),
    (["create", *SLICE, "--accelerator-type=t"], "got '--accelerator-type=t'"),
    (["run", *SLICE], "got no main"),
    (["run", *SLICE, "distil"], "main: got 'distil'"),
    (["run", *SLICE, "../setup"], "main: got '../setup'"),
    (["run", *SLICE, "--restarts=many", "distill"], "--restarts: got 'many'"),
    (["status", *SLICE, "distill"], "got 'distill'"),
    (["each", *SLICE, "ls", "-l"], "got 2 commands, want one"),
])
def test_bad_input_is_one_line(pods, args, wanted):
  done = pods.run("tpu_vm.sh", *args)
  assert done.returncode == 2 and done.stderr.startswith("error: ")
  assert wanted in done.stderr and done.stderr.count("\n") == 1
  assert not pods.notes and not done.stdout


def test_the_slice_from_the_environment(pods):
  done = pods.run("tpu_vm.sh", "delete", "--yes", ACCFM_PROJECT="p",
                  ACCFM_ZONE="z", ACCFM_TPU="n")
  assert done.returncode == 0, done.stderr
  assert pods.notes == [[*TPUS, "queued-resources", "delete", "n", "--force",
                         "--quiet", *WHERE]]


@pytest.mark.parametrize("args", [
    ["create", "--accelerator_type=t", "--runtime_version=v"], ["install"],
    ["each", "ls -l"], ["run", *MAIN], ["status"], ["tail", "--follow"],
    ["stop"], ["delete"],
])
def test_a_dry_run_prints_and_does_nothing(pods, args):
  args = [args[0], *SLICE, *args[1:]]
  printed = pods.run("tpu_vm.sh", args[0], "--dry_run", *args[1:])
  assert printed.returncode == 0 and not pods.notes
  lines = [shlex.split(line) for line in printed.stdout.splitlines()]
  commands = [line[1:] for line in lines if line[0] == "gcloud"]
  if args[0] != "install":  # whose archive lies elsewhere then
    pods.run("tpu_vm.sh", *args)
    assert commands == [n for n in pods.notes if n[:2] == TPUS]
  else:
    assert [c[3] for c in commands] == ["scp", "ssh"]


@pytest.fixture
def installed(pods):
  done = pods.run("tpu_vm.sh", "install", *SLICE)
  assert done.returncode == 0, done.stderr
  for host in ("0", "1"):
    assert (pods.folder / "hosts" / host / "accfm/launch/worker.sh").exists()
  return pods


OLD = """#!/bin/bash
note "$@"
case "$*" in
  "-c "*) exit 1 ;;
  "-m uv venv "*) mkdir -p .venv/bin; ln -s HERE/bin/new .venv/bin/python ;;
esac
"""


def test_install_brings_a_python_where_there_is_an_old_one(pods):
  pods.program("python3", OLD)
  pods.program("new", '#!/bin/bash\nnote "$@"\n')
  for again in range(2):  # the second time .venv is kept
    done = pods.run("tpu_vm.sh", "install", *SLICE, ACCFM_PYTHON="")
    assert done.returncode == 0, done.stderr
    last = ["-m", "pip", "install", "-qq", "-c", "requirements.lock",
            "--no-build-isolation", "-e", ".[tpu]"]
    assert pods.notes.count(last) == 2
    made = [note for note in pods.notes if note[:3] == ["-m", "uv", "venv"]]
    assert len(made) == (0 if again else 2)


def logs(pods):
  return [(pods.folder / "hosts" / host / "accfm.run/log.txt").read_text()
          for host in ("0", "1")]


def start(pods, *args):
  """Runs `tpu_vm.sh run`; a function that waits for the detached runs."""
  reader, writer = os.pipe()  # held open by all that comes of it
  (pods.folder / "notes").write_text("")
  done = subprocess.run(
      ["bash", str(pods.root / "launch/tpu_vm.sh"), "run", *SLICE, *args],
      text=True, capture_output=True, env=pods.env(), pass_fds=[writer],
  )
  os.close(writer)

  def finish():
    with os.fdopen(reader, "rb") as file:
      assert file.read() == b""

  return done, finish


def test_a_main_on_all_hosts(installed):
  pods = installed
  done, finish = start(pods, "--env=A=b c", *MAIN)
  finish()
  assert done.returncode == 0, done.stderr
  hosts = [str(pods.folder / "hosts" / host) for host in ("0", "1")]
  assert pods.mains == [
      ["-m", "accfm.distill", *MAIN[1:], "auto", host] for host in hosts
  ]
  for log in logs(pods):
    assert "ended with 0: no restart" in log


@pytest.mark.parametrize("code, flags, runs", [
    (143, ["--restarts=2"], 3), (143, ["--restarts=0"], 1),
    (2, ["--error_restarts=3"], 1), (1, [], 1), (1, ["--error_restarts=1"], 2),
])
def test_restarts_on_every_host(installed, code, flags, runs):
  (installed.folder / "code").write_text(str(code))
  _, finish = start(installed, *flags, "distill")
  finish()
  assert len(installed.mains) == 2 * runs
  assert [log.count("restart") for log in logs(installed)] == [runs] * 2


def test_a_run_that_is_alive_is_left_alone_and_can_be_stopped(installed):
  os.mkfifo(installed.folder / "wait")
  _, finish = start(installed, "distill")
  again, _ = start(installed, "distill")
  assert again.stdout.count("already running on") == 2
  assert installed.run("tpu_vm.sh", "status", *SLICE).stdout.count(
      ": running, process") == 2
  refused = installed.run("tpu_vm.sh", "install", *SLICE)
  assert refused.returncode == 2 and "a run is alive" in refused.stderr
  installed.run("tpu_vm.sh", "stop", *SLICE)
  finish()
  status = installed.run("tpu_vm.sh", "status", *SLICE).stdout
  assert status.count("not running") == 2
  assert status.count("ended with 143: no restart") == 2
  tail = installed.run("tpu_vm.sh", "tail", *SLICE, "--lines=1").stdout
  assert tail.splitlines() == ["ended with 143: no restart"] * 2


def test_nothing_installed_is_said(pods):
  done = pods.run("tpu_vm.sh", "run", *SLICE, "distill")
  assert done.returncode == 2 and "run install first" in done.stderr


@pytest.mark.parametrize("codes, limits, runs", [
    ([143, 143, 0], [5, 0], 3), ([143, 143, 143], [1, 9], 2), ([2], [9, 9], 1),
    ([1], [9, 0], 1), ([1, 143, 1, 2], [1, 2], 4), ([1, 1, 1], [9, 1], 2),
])
def test_restart(pods, codes, limits, runs):
  (pods.folder / "codes/note").write_text("\n".join(map(str, codes)) + "\n")
  done = pods.run("restart.sh", *map(str, limits), "note", "a b", "*")
  assert pods.notes == [["a b", "*"]] * runs
  assert done.returncode == codes[runs - 1]
  assert done.stderr.endswith(f"ended with {codes[runs - 1]}: no restart\n")


def test_sigterm_goes_on_and_nothing_starts_again(pods):
  program = (
      "import signal, sys\n"
      "def stop(*_): print('saved', flush=True); sys.exit(143)\n"
      "signal.signal(signal.SIGTERM, stop)\n"
      "print('ready', flush=True)\n"
      "while True: signal.pause()\n"
  )
  with subprocess.Popen(
      ["bash", str(LAUNCH / "restart.sh"), "5", "5", sys.executable, "-c",
       program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
  ) as process:
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
  assert (process.returncode, out) == (143, "saved\n")
  assert err == "ended with 143: no restart\n"


FLAGGED = ["tpu_vm.sh", "gke.sh", "slurm.sh", "tables.sh"]


@pytest.mark.parametrize("script", FLAGGED)
def test_help_tells_every_flag(pods, script):
  done = pods.run(script, "--help")
  text = (LAUNCH / script).read_text()
  flags = set(re.findall(r"^    (--\w+)(?:=\S*)?\)", text, re.MULTILINE))
  assert done.returncode == 0 and len(flags - {"--help"}) >= 2
  assert not [f for f in flags - {"--help"} if f not in done.stdout]
  told = set(re.findall(r"^  (--\w+)", done.stdout, re.MULTILINE))
  assert told <= flags, told - flags


def test_shellcheck():
  program = pathlib.Path(sys.executable).with_name("shellcheck")
  found = shutil.which("shellcheck", path=f"{program.parent}:/usr/bin")
  if not found:
    pytest.skip("no shellcheck: install the extra `dev`")
  done = subprocess.run(
      [found, "--shell=bash", "check.sh",
       *sorted(str(p.relative_to(ROOT)) for p in LAUNCH.glob("*.sh"))],
      cwd=ROOT, capture_output=True, text=True,
  )
  assert done.returncode == 0, done.stdout
