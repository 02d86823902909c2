"""Stand-ins for the programs of a cluster, for the launch scripts' tests.

`kubectl`, `srun` and the like note their arguments; `gcloud` also does what it
is told, on two folders that stand for hosts.
"""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).parents[1]

NOTE = """#!/bin/bash
# Notes its arguments, prints what stands in answers/NAME, ends with the next
# code of codes/NAME (0 without).
cd HERE
name=${0##*/}
printf -v call '%s\\037' "$name" "$@"
printf '%s\\036' "$call" >> notes
if [ ! -t 0 ] && [ -e input/$name ]; then cat > input/$name; fi
if [ -e answers/$name ]; then cat answers/$name; fi
if [ -e codes/$name ]; then
  read -r code < codes/$name
  sed -i 1d codes/$name
fi
exit ${code:-0}
"""

GCLOUD = """#!/bin/bash
# On two hosts, which are folders: scp copies there, ssh runs there.
note "$@"
for argument in "$@"; do
  case $argument in --command=*) command=${argument#*=} ;; esac
done
for host in HERE/hosts/*; do
  case "$*" in
    *" tpu-vm scp "*) cp "$5" "$host/${6#*:}" ;;
    *" tpu-vm ssh "*) cd "$host"; HOME=$host bash -c "$command" || exit ;;
  esac
done
"""

GIT = """#!/bin/bash
# An archive of the repository as it lies there.
case $1 in
  archive) tar -czf "${3#--output=}" launch accfm ;;
esac
"""

PYTHON = """#!/bin/bash
# Notes what it was told on which host; waits where a fifo says so.
note "$@" "$ACCFM_DISTRIBUTED" "${PWD%/accfm}"
if [ -e HERE/wait ]; then exec 3< HERE/wait; read -r line <&3; fi
exit $(cat HERE/code 2>/dev/null || echo 0)
"""


class Pods:
  """A copy of the scripts with stand-ins on PATH; `notes` are their calls."""

  def __init__(self, folder):
    self.folder, self.root = folder, folder / "repository"
    shutil.copytree(ROOT / "launch", self.root / "launch")
    (self.root / "accfm").mkdir()
    for path in (ROOT / "accfm").glob("*.py"):
      (self.root / "accfm" / path.name).touch()
    for name in ("bin", "answers", "codes", "input", "hosts/0", "hosts/1"):
      (folder / name).mkdir(parents=True)
    for name in ("note", "kubectl", "srun", "squeue", "scontrol"):
      self.program(name, NOTE)
    self.program("gcloud", GCLOUD)
    self.program("git", GIT)
    self.python = self.program("python", PYTHON)

  def program(self, name, text):
    path = self.folder / "bin" / name
    path.write_text(text.replace("HERE", str(self.folder)))
    path.chmod(0o755)
    return path

  def run(self, script, *args, cwd=None, **env):
    """The process of a script, after all that it started has ended."""
    (self.folder / "notes").write_text("")
    return subprocess.run(
        ["bash", str(self.root / "launch" / script), *args], text=True,
        capture_output=True, stdin=subprocess.DEVNULL,
        cwd=cwd or self.folder, env=self.env(**env),
    )

  def env(self, **env):
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("ACCFM_", "SLURM_", "JAX_"))}
    path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "ACCFM_PYTHON": str(self.python), **env}

  @property
  def notes(self):
    calls = (self.folder / "notes").read_text().split("\036")[:-1]
    return [call.split("\037")[1:-1] for call in calls]

  @property
  def mains(self):
    """The calls of Python that start a main."""
    return sorted(call for call in self.notes if call[:1] == ["-m"])
