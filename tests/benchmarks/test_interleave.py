"""Programs of known times: their order, medians and ratios."""

import json
import pathlib
import sys

import pytest

from accfm.base.errors import InputError
from benchmarks import interleave


@pytest.fixture
def program(tmp_path):
  """`program(name, times)`: arguments of a process that takes known times.

  Each call notes its name in tmp_path/log and prints the next time.
  """
  log = tmp_path / "log"

  def make(name, times):
    code = (
        "import json, pathlib\n"
        f"log = pathlib.Path({str(log)!r})\n"
        "past = log.read_text().split() if log.exists() else []\n"
        f"log.write_text(' '.join([*past, {name!r}]))\n"
        f"t = {times!r}[past.count({name!r})]\n"
        "print('warm-up done')\n"
        f"print(json.dumps(dict(seconds=t, peak_mib=7, name={name!r})))\n"
    )
    return [sys.executable, "-c", code]

  make.log = log
  return make


def test_medians_and_ratios_of_rounds(program, tmp_path):
  commands = {
      "ours": [*program("ours", [1.0, 4.0, 2.0]), f"--keep={tmp_path}/x"],
      "peer": program("peer", [3.0, 4.0, 10.0]),
  }
  out = tmp_path / "new" / "speed"
  got = interleave.run(
      commands, 3, str(out), "A title", "python -m x",
      checks=lambda: {"log": len(program.log.read_text().split())},
  )
  assert program.log.read_text() == "ours peer peer ours ours peer"
  assert got["seconds"]["ours"] == {"median": 2.0, "low": 1.0, "high": 4.0}
  # Round by round 3, 1 and 5; of the medians it would be 2.
  assert got["times_as_long"] == {
      "peer": {"median": 3.0, "low": 1.0, "high": 5.0}
  }
  assert got["checks"] == {"log": 6}
  assert [r["name"] for r in got["runs"]] == program.log.read_text().split()
  ours = got["commands"]["ours"]  # no path of this machine
  assert ours[0] == "python" and ours[-1].startswith("--keep=FOLDER/")
  assert got["machine"]["cores"] >= 1
  assert json.loads(out.with_suffix(".json").read_text()) == got
  text = out.with_suffix(".md").read_text()
  assert text.startswith("# A title\n")
  assert "| peer | 4.000 [3.000, 10.000] | 3.00 [1.00, 5.00] | 7 |" in text
  assert "- log: 6\n" in text and "`python -m x`" in text


@pytest.mark.parametrize("code, want", [
    ("raise SystemExit('no faiss here')", "no faiss here"),
    ("print('seconds: 3')", "seconds: 3"),
    ("print('{\"time\": 3}')", "want a JSON"),
    ("", "want a JSON"),
])
def test_a_program_without_a_time_is_named(tmp_path, code, want):
  with pytest.raises(RuntimeError, match="bad") as caught:
    interleave.run(
        {"bad": [sys.executable, "-c", code]}, 1, str(tmp_path / "x"), "", ""
    )
  assert want in str(caught.value)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("commands, rounds", [({}, 3), ({"a": ["x"]}, 0)])
def test_nothing_to_run_is_refused(tmp_path, commands, rounds):
  with pytest.raises(InputError, match="want at least 1"):
    interleave.run(commands, rounds, str(tmp_path / "x"), "", "")


def test_emit_is_what_run_reads(tmp_path, monkeypatch):
  monkeypatch.chdir(pathlib.Path(__file__).parents[2])
  code = (
      "from benchmarks import interleave\n"
      "calls = []\n"
      "s = interleave.measure(lambda: calls.append(0), repeats=3)\n"
      "interleave.emit(s, calls=len(calls))\n"
  )
  got = interleave.run(
      {"a": [sys.executable, "-c", code]}, 1, str(tmp_path / "x"), "", ""
  )
  (only,) = got["runs"]
  assert only["calls"] == 4  # the first is the warm-up
  assert only["seconds"] >= 0 and only["peak_mib"] > 1


def test_a_command_names_what_is_not_the_default(monkeypatch):
  parser = interleave.make_parser("A benchmark.\n\nAnd more.", rounds=7)
  parser.add_argument("--small", action="store_true")
  args = parser.parse_args(["--out=x", "--small"])
  monkeypatch.setenv("ONE", "1")
  monkeypatch.delenv("TWO", raising=False)
  assert interleave.command(
      parser, args, "speed", ("out", "rounds", "small"), ("ONE", "TWO")
  ) == "ONE=1 python -m benchmarks.speed --out=x --small"
  args = parser.parse_args(["--out=x", "--rounds=2"])
  assert interleave.command(parser, args, "speed") == (
      "python -m benchmarks.speed --out=x --rounds=2")
  assert "A benchmark." in parser.format_help()
  assert "And more" not in parser.format_help()
