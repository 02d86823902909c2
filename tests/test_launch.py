"""Launch scripts: the commands they give, with an interpreter that notes them.

Every main's own arguments are tested elsewhere; here the shell is: a variable
that is not set, a command left out, a config that is not there.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

from accfm.base import configfiles

ROOT = pathlib.Path(__file__).parents[1]
MAINS = {p.stem for p in (ROOT / "accfm").glob("*.py")}
COHORT = ["prepare", "pretrain", "distill", "evaluate", "tabulate"]
SIMULATED = ["prepare", "pretrain", "evaluate", "distill", "evaluate",
             "pretrain", "evaluate", "pretrain", "evaluate", "tabulate"]


@pytest.fixture
def call(tmp_path):
  """`call(script, *args, **env) -> (process, [[argument, ...], ...])`."""
  root = tmp_path / "repo"
  shutil.copytree(ROOT / "launch", root / "launch")
  shutil.copytree(ROOT / "configs", root / "configs")
  notes, python = tmp_path / "notes", tmp_path / "python"
  python.write_text(
      # Several may note at once: one after the other.
      '#!/bin/bash\n(flock 9; printf "%s\\n" "$@" "--" >&9) '
      f"9>> {notes}\n"
  )
  python.chmod(0o755)

  def run(script, *args, **env):
    notes.write_text("")
    done = subprocess.run(
        ["bash", str(root / "launch" / script), *args], text=True,
        capture_output=True, cwd=tmp_path,
        env={**os.environ, "ACCFM_PYTHON": str(python), **env},
    )
    calls = notes.read_text().split("--\n")[:-1]
    return done, [c.splitlines() for c in calls]

  return run


def main_of(arguments):
  assert arguments[0] == "-m"
  package, _, name = arguments[1].partition(".")
  assert package == "accfm" and name in MAINS, arguments[1]
  return name


def check_configs(calls):
  """Every --config loads with its argument, and has every field set."""
  for arguments in calls:
    given = dict(a.split("=", 1) for a in arguments[2:] if "=" in a)
    if "--config" not in given:
      continue
    config = configfiles.load(given.pop("--config"))
    for flag in given:
      value = config
      for name in re.sub("^--config.", "", flag).split("."):
        if flag.startswith("--config."):
          value = value[name]


@pytest.mark.parametrize("script, args, mains", [
    ("quickstart.sh", ["work"], ["prepare", "pretrain", "distill",
                                 "evaluate"]),
    ("simulated.sh", ["work"], SIMULATED * 2),
    ("cohort.sh", ["name", "prepare:e4", "source", "work"], COHORT),
    ("stress_predict.sh", ["source", "work"], COHORT * 3),
    ("local.sh", ["8", "distill", "--config=acc_distill:tiny"],
     ["distill"]),
])
def test_commands(call, tmp_path, script, args, mains):
  (tmp_path / "source").mkdir()
  done, calls = call(script, *args)
  assert done.returncode == 0, done.stderr
  assert [main_of(c) for c in calls] == mains
  check_configs(calls)


def test_controls_end_with_their_table(call):
  done, calls = call("controls.sh", "work", REAL="one=/a two=/b")
  assert done.returncode == 0, done.stderr
  *accfm, table = calls
  assert [main_of(c) for c in accfm] == [
      *["prepare"] * 4, "pretrain", "pretrain", "distill", "evaluate",
      "evaluate"]
  check_configs(accfm)
  assert all("--source_dir=/b" not in c or "--config=prepare:e4,name=two" in c
             for c in accfm)
  assert table[1] == "benchmarks.controls"
  assert table[-2].endswith("simulated_easy,simulated_realistic,one,two")


def test_settings_from_the_environment(call, tmp_path):
  (tmp_path / "source").mkdir()
  done, calls = call(
      "stress_predict.sh", "source", "work", FOLDS="2", STUDENT_STEPS="7"
  )
  assert done.returncode == 0, done.stderr
  assert [main_of(c) for c in calls] == COHORT
  assert "--config.total_steps=7" in calls[2]
  assert "--config.teacher_mode=trained" in calls[2]
  assert any("fold=2" in a for a in calls[0])


def test_folds_test_people_of_one_cohort(call, tmp_path):
  """Ids decide who is tested in which fold, so all folds need the same."""
  (tmp_path / "source").mkdir()
  done, calls = call("stress_predict.sh", "source", "work")
  assert done.returncode == 0, done.stderr
  prepared = [c for c in calls if main_of(c) == "prepare"]
  cohorts = [
      [a for a in c if a.startswith("--config.cohort=")][-1] for c in prepared
  ]
  assert len(prepared) == 3 and set(cohorts) == {"--config.cohort=e4"}


def test_a_missing_folder_is_said(call):
  done, calls = call("stress_predict.sh")
  assert done.returncode and "folder of the recordings" in done.stderr
  assert not calls


# --- tables.sh ---------------------------------------------------------------


def tables(text):
  """{name: [[argument, ...] of each command]} of what tables.sh lists."""
  out, name = {}, ""
  for line in text.splitlines():
    if line.startswith("  "):
      out[name].append(shlex.split(line))
    else:
      name, _, rest = line.partition(" ")
      assert re.fullmatch(r"\(\d+ minutes\)", rest), line
      out[name] = []
  return out


def test_tables_are_listed_with_their_commands(call):
  done, calls = call("tables.sh")
  assert done.returncode == 0 and not calls, done.stderr
  listed = tables(done.stdout)
  told = (ROOT / "results/README.md").read_text()
  for name, commands in listed.items():
    assert commands, name
    assert f"`{name}`" in told, name
    for command in commands:
      while command[0] == "env" or "=" in command[0]:
        command = command[1:]
      assert command[0] in ("bash", "python"), command
      if command[0] == "bash":
        assert (ROOT / command[1]).exists(), command
      elif command[2].startswith("accfm."):
        main_of(command[1:])
      else:
        assert (ROOT / f"{command[2].replace('.', '/')}.py").exists(), command
    outs = [a for c in commands for a in c if a.startswith("--out=")]
    assert set(outs) <= {f"--out=results/{name}"}


def test_each_table_has_a_line_and_each_trained_table_a_name(call):
  """What results/ holds of training or evaluation can be made anew."""
  listed = tables(call("tables.sh")[0].stdout)
  for path in (ROOT / "results").glob("*.json"):
    name = path.stem
    if name.startswith(("simulated_", "study_", "stress_predict_",
                        "ablations_", "ieee_", "quickstart")):
      assert name in listed, name


@pytest.mark.parametrize("name, mains", [
    ("quickstart", ["prepare", "pretrain", "distill", "evaluate", "tabulate"]),
    ("simulated_easy", SIMULATED), ("study_easy", ["prepare", "study"]),
    ("ablations_realistic", ["prepare", "study"]),
    ("stress_predict_fold2", COHORT), ("ieee_spc", COHORT),
    ("study_stress_predict", ["prepare", "study"]),
])
def test_a_table_is_made_once_in_a_folder(call, tmp_path, name, mains):
  (tmp_path / "source").mkdir()
  flags = ["--work=w", "--stress_predict=source", "--ieee_spc=source"]
  done, calls = call("tables.sh", *flags, name)
  assert done.returncode == 0, done.stderr
  assert [main_of(c) for c in calls] == mains
  check_configs(calls)
  if not name.startswith(("stress", "ieee", "simulated")):
    assert f"--out=results/{name}" in calls[-1]
  done, calls = call("tables.sh", *flags, name)
  assert done.returncode == 0 and not calls
  assert f"{name}: done before; remove {tmp_path}/w/done/{name}" in done.stdout
  done, calls = call("tables.sh", *flags, "--evaluate_again", name)
  assert [main_of(c) for c in calls] == mains
  assert ("--evaluate_again" in calls[-1]) == (mains[-1] == "study")


def test_a_table_that_fails_is_not_done(call, tmp_path):
  python = tmp_path / "failing"
  python.write_text('#!/bin/bash\ncase "$*" in *prepare*) exit 3 ;; esac\n')
  python.chmod(0o755)
  done, _ = call("tables.sh", "--work=w", "study_easy", "quickstart",
                 ACCFM_PYTHON=str(python))
  assert done.returncode == 3
  assert not list((tmp_path / "w/done").iterdir())


@pytest.mark.parametrize("arguments, says", [
    (["study_esay"], "error: got 'study_esay', want one of quickstart "),
    (["--wrok=w"], "error: got '--wrok=w', want the flags that --help lists"),
    (["ieee_spc"], "error: --ieee_spc is missing, want --ieee_spc=..."),
    (["quickstart", "stress_predict_fold1"], "--stress_predict is missing"),
    (["--ieee_spc=nowhere", "ieee_spc"], "--ieee_spc: got 'nowhere', want a f"),
])
def test_what_no_table_can_be_made_of(call, tmp_path, arguments, says):
  done, calls = call("tables.sh", *arguments)
  assert done.returncode == 2 and says in done.stderr and not calls


def test_a_dry_run_of_all_tables(call, tmp_path):
  done, calls = call("tables.sh", "--dry_run", "--stress_predict=a",
                     "--ieee_spc=b", "all")
  assert done.returncode == 0 and not calls, done.stderr
  assert f"{tmp_path}/b" in done.stdout
  assert not (tmp_path / "repo/runs").exists()


def test_several_processes(call):
  done, calls = call("local.sh", "--processes=3", "2", "pretrain", "--a=b")
  assert done.returncode == 0, done.stderr
  assert calls == [["-m", "accfm.pretrain", "--a=b"]] * 3


def test_the_first_exit_code_that_is_not_0(call, tmp_path):
  """Process 1 fails, the others stand still until they are killed."""
  python = tmp_path / "failing"
  python.write_text(
      '#!/bin/bash\necho "I am $ACCFM_DISTRIBUTED"\n'
      'case "$ACCFM_DISTRIBUTED" in */1) exit 7 ;; esac\n'
      f'echo $$ >> {tmp_path}/pids\nread < <(tail -f /dev/null)\n'
  )
  python.chmod(0o755)
  done, _ = call("local.sh", "--processes=2", "2", "pretrain",
                 ACCFM_PYTHON=str(python), STOP_SECONDS="0")
  assert done.returncode == 7, done.stderr
  lines = sorted(done.stdout.splitlines())
  assert [line[:14] for line in lines] == ["[0] I am local", "[1] I am local"]
  assert lines[1].endswith("/2/1")
  for pid in (tmp_path / "pids").read_text().split():
    assert not pathlib.Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("arguments", [
    [], ["8"], ["--processes=0", "2", "pretrain"], ["x", "pretrain"],
    ["--processes=2", "pretrain"],
])
def test_local_wants_numbers(call, arguments):
  done, calls = call("local.sh", *arguments)
  assert done.returncode == 2 and "usage:" in done.stderr and not calls
