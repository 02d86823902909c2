"""Launch scripts for GKE and SLURM, and the lines that docs/pods.md tells."""

import re
import subprocess

import pytest
import yaml

from tests.standins import ROOT, Pods

MAIN = ["distill", "--config=acc_distill:tiny,lambda=1.0",
        "--config.datasets=('a b', \"c\")", "--workdir=$HOME/a & b"]
GKE = {
    "--name": "n", "--image": "i&x", "--accelerator": "tpu-v5-lite-podslice",
    "--topology": "4x8", "--bucket": "b", "--claim": "c",
    "--service_account": "s",
}


@pytest.fixture
def pods(tmp_path):
  return Pods(tmp_path)


def given(**changes):
  """GKE's required flags, some changed or, by None, left out."""
  flags = {**GKE, **{f"--{k}": v for k, v in changes.items()}}
  return [f"{k}={v}" for k, v in flags.items() if v is not None]


def submit(pods, *args):
  """What `gke.sh run` hands to kubectl, and the Job and pod in it."""
  (pods.folder / "input/kubectl").touch()
  done = pods.run("gke.sh", "run", *args)
  assert done.returncode == 0, done.stderr
  assert pods.notes[0][-3:] == ["create", "-f", "-"]
  text = (pods.folder / "input/kubectl").read_text()
  (made,) = yaml.safe_load_all(text)
  (replicated,) = made["spec"]["replicatedJobs"]
  job = replicated["template"]["spec"]
  return text, made, job, job["template"]["spec"]


def test_the_jobset(pods):
  env = "--env=A=\"b\" \\ c & $d: '{'"
  text, made, job, pod = submit(pods, *given(), env, *MAIN)
  assert made["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
  assert (made["kind"], made["metadata"]["name"]) == ("JobSet", "n")
  assert made["spec"]["failurePolicy"]["maxRestarts"] == 20
  (rule,) = made["spec"]["failurePolicy"]["rules"]
  assert rule["action"] == "FailJobSet"
  assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
  assert (job["parallelism"], job["completions"]) == (8, 8)  # 32 chips
  assert (job["backoffLimit"], job["completionMode"]) == (0, "Indexed")
  lost, ended = job["podFailurePolicy"]["rules"]
  assert lost["action"] == "Count"
  assert lost["onPodConditions"][0]["type"] == "DisruptionTarget"
  assert (ended["action"], ended["onExitCodes"]) == (
      "FailJob",
      {"containerName": "main", "operator": "NotIn", "values": [143]},
  )
  annotations = job["template"]["metadata"]["annotations"]
  assert annotations == {"gke-gcsfuse/volumes": "true"}
  assert pod["restartPolicy"] == "Never"  # which podFailurePolicy asks for
  assert pod["serviceAccountName"] == "s"
  assert pod["nodeSelector"] == {
      "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
      "cloud.google.com/gke-tpu-topology": "4x8",
  }
  (main,) = pod["containers"]
  assert (main["name"], main["image"]) == ("main", "i&x")
  assert main["command"] == ["python", "-m", "accfm.distill", *MAIN[1:]]
  assert main["env"] == [
      {"name": "ACCFM_DISTRIBUTED", "value": "auto"},
      {"name": "A", "value": "\"b\" \\ c & $d: '{'"},
  ]
  assert main["resources"]["limits"] == {"google.com/tpu": 4}
  mounts = {m["name"]: m for m in main["volumeMounts"]}
  volumes = {v["name"]: v for v in pod["volumes"]}
  assert mounts.keys() == volumes.keys()
  assert mounts["data"]["readOnly"] and volumes["data"]["csi"]["readOnly"]
  assert volumes["data"]["csi"]["driver"] == "gcsfuse.csi.storage.gke.io"
  assert volumes["data"]["csi"]["volumeAttributes"]["bucketName"] == "b"
  claim = volumes["runs"]["persistentVolumeClaim"]
  assert claim == {"claimName": "c"} and "readOnly" not in mounts["runs"]
  assert "@" not in text
  dry = pods.run("gke.sh", "run", *given(), env, "--dry_run", *MAIN)
  assert dry.stdout == text + "kubectl create -f -\n" and not pods.notes


def test_other_errors_restart_where_asked(pods):
  _, made, job, pod = submit(
      pods, *given(topology="2x2x4"), "--restarts=7", "--error_restarts=2",
      "--spot", "--context=x", "--namespace=y", "pretrain",
  )
  assert made["spec"]["failurePolicy"]["maxRestarts"] == 9
  codes = job["podFailurePolicy"]["rules"][1]["onExitCodes"]
  assert (codes["operator"], codes["values"]) == ("In", [2])
  assert job["parallelism"] == 4
  assert pod["nodeSelector"]["cloud.google.com/gke-spot"] == "true"
  assert pods.notes[0][:2] == ["--context=x", "--namespace=y"]


@pytest.mark.parametrize("args, wanted", [
    *((given(**{k[2:]: None}) + ["distill"], f"{k} is missing") for k in GKE),
    (given(topology="4by8") + ["distill"], "--topology: got '4by8'"),
    (given(topology="4x") + ["distill"], "--topology: got '4x'"),
    (given(topology="3x3") + ["distill"], "--chips_per_host: got 4"),
    (given() + ["--chips_per_host=0", "distill"], "--chips_per_host: got 0"),
    (given() + ["--restarts=-1", "distill"], "--restarts: got '-1'"),
    (given(), "got no main"),
    (given() + ["distil"], "main: got 'distil'"),
    (given() + ["distill", "--x=a\nb"], "got a control character"),
    (given() + ["--grace=3", "distill"], "got '--grace=3'"),
])
def test_bad_input_for_gke_is_one_line(pods, args, wanted):
  done = pods.run("gke.sh", "run", *args)
  assert done.returncode == 2 and done.stderr.startswith("error: ")
  assert wanted in done.stderr and done.stderr.count("\n") == 1
  assert not pods.notes


def test_looking_at_a_jobset(pods):
  label = "jobset.sigs.k8s.io/jobset-name=n"
  pods.run("gke.sh", "status", "--name=n", "--namespace=y")
  assert pods.notes == [
      ["--namespace=y", "get", "jobset", "n"],
      ["--namespace=y", "get", "pods", "-o", "wide", "-l", label],
  ]
  pods.run("gke.sh", "tail", "--name=n", "--worker=3", "--follow")
  assert pods.notes == [[
      "logs", "-c", "main", "--tail=20", "--follow", "-l",
      f"{label},batch.kubernetes.io/job-completion-index=3",
  ]]
  pods.run("gke.sh", "delete", "--name=n")
  assert pods.notes == [["delete", "jobset", "n"]]


JOB = {"SLURM_JOB_ID": "17", "SLURM_GPUS_ON_NODE": "4",
       "SLURM_NTASKS_PER_NODE": "4"}


def batch(pods, *args, codes=(0,), state="RUNNING", **env):
  """(process, calls of srun, other calls): as SLURM runs the batch script."""
  for name in ("srun", "python"):
    (pods.folder / "codes" / name).write_text("\n".join(map(str, codes)) + "\n")
  (pods.folder / "answers/squeue").write_text(f"{state}\n")
  done = pods.run(
      "slurm.sh", *args, SLURM_SUBMIT_DIR=str(pods.root), **{**JOB, **env}
  )
  calls = pods.notes
  steps = [c for c in calls if "--label" in c]
  return done, steps, [c for c in calls if "--label" not in c]


def test_slurm_asks_for_a_signal_and_to_be_queued_again():
  text = (ROOT / "launch/slurm.sh").read_text()
  asked = re.findall(r"^#SBATCH (\S+)$", text, re.MULTILINE)
  assert {"--signal=TERM@120", "--requeue", "--open-mode=append"} <= set(asked)
  head = text[:text.index("\nset -euo")]
  assert all(line.startswith("#") for line in head.splitlines())


def test_a_task_for_each_gpu(pods):
  done, (step,), rest = batch(pods, *MAIN)
  assert (done.returncode, rest) == (0, []), done.stderr
  at = step.index("--label")
  assert set(step[:at]) >= {
      "--ntasks-per-node=4", "--gpu-bind=none", "--kill-on-bad-exit=0"
  }
  assert step[at + 1:] == [
      str(pods.python), "-m", "accfm.distill", *MAIN[1:]
  ]


def test_a_task_for_each_node_sees_all_its_gpus(pods):
  pods.program("srun", '#!/bin/bash\nnote --label "$ACCFM_DISTRIBUTED" '
               '"${JAX_LOCAL_DEVICE_IDS:-}" "${SRUN_CPUS_PER_TASK:-}"\n')
  _, steps, _ = batch(pods, "distill", SLURM_NTASKS_PER_NODE="1",
                      SLURM_CPUS_PER_TASK="8")
  assert steps == [["--label", "auto", "0,1,2,3", "8"]]
  assert batch(pods, "distill")[1] == [["--label", "auto", "", ""]]


@pytest.mark.parametrize("codes, args, env, steps, queued", [
    ([143], [], {}, 1, True),
    ([143], ["--restarts=3"], {"SLURM_RESTART_COUNT": "2"}, 1, True),
    ([143], ["--restarts=3"], {"SLURM_RESTART_COUNT": "3"}, 1, False),
    ([143], ["--restarts=0"], {}, 1, False),
    ([143], [], {"state": "COMPLETING"}, 1, False),
    ([2], ["--error_restarts=5"], {}, 1, False),
    ([1], [], {}, 1, False),
    ([1, 1, 1], ["--error_restarts=1"], {}, 2, False),
    ([1, 143], ["--error_restarts=1"], {}, 2, True),
    ([1, 0], ["--error_restarts=1"], {}, 2, False),
])
def test_slurm_restarts(pods, codes, args, env, steps, queued):
  done, called, rest = batch(pods, *args, "distill", codes=codes, **env)
  assert len(called) == steps and done.returncode == codes[steps - 1]
  assert (["requeue", "17"] in rest) == queued


@pytest.mark.parametrize("env, args, wanted", [
    ({"SLURM_JOB_ID": ""}, ["distill"], "want sbatch"),
    ({"SLURM_SUBMIT_DIR": "/"}, ["distill"], "want the repository's root"),
    ({"SLURM_GPUS_ON_NODE": ""}, ["distill"], "got no GPUs"),
    ({"SLURM_NTASKS_PER_NODE": "3"}, ["distill"], "got 3 for 4 GPUs"),
    ({}, [], "got no main"),
    ({}, ["--restart=1", "distill"], "got '--restart=1'"),
])
def test_bad_input_for_slurm_is_one_line(pods, env, args, wanted):
  env = {"SLURM_SUBMIT_DIR": str(pods.root), **JOB, **env}
  done = pods.run("slurm.sh", *args, **env)
  assert done.returncode == 2 and wanted in done.stderr
  assert done.stderr.count("\n") == 1 and not pods.notes


def documented():
  """The commands of docs/pods.md that call one of our scripts."""
  blocks = re.findall(
      r"^```\n(.*?)^```", (ROOT / "docs/pods.md").read_text(), re.S | re.M
  )
  for block in blocks:
    subprocess.run(["bash", "-n"], input=block, text=True, check=True)
  return [
      command for block in blocks
      for command in re.findall(
          r"^bash launch/(?:.*?)(?=^(?:bash|export|sbatch)|\Z)", block,
          re.S | re.M)
  ]


def test_documented_commands_are_taken(pods):
  commands = documented()
  assert len(commands) >= 12
  script = "export ACCFM_PROJECT=P ACCFM_ZONE=Z ACCFM_TPU=N\n"
  for command in commands:
    # After the subcommand, where flags stand.
    script += re.sub(r"(\.sh \w+)", r"\1 --dry_run", command, count=1) + "\n"
  done = subprocess.run(
      ["bash", "-euo", "pipefail", "-c", script], cwd=pods.root, text=True,
      capture_output=True, env=pods.env(),
  )
  assert done.returncode == 0, done.stderr
  assert "accfm.distill" in done.stdout
