"""The parts of chaos itself: drawing, signals, verdicts, damage, the table."""

import itertools
import json
import signal
import sys

import numpy as np
import pytest

from benchmarks.chaos import __main__ as chaos
from benchmarks.chaos import (
  commands,
  damage,
  planted,
  same,
  scenarios,
  table,
  verdicts,
)
from benchmarks.chaos.commands import Outcome
from benchmarks.chaos.inside import chaos_plants, sitecustomize
from benchmarks.chaos.scenarios import Case, Impossible, Result, Scenario

TRACE = ("Traceback (most recent call last):", '  File "x.py", line 1, in f',
         "ValueError: no")


def outcome(code=0, out=(), err=(), sent="", sent_at=0, hung=False):
  return Outcome(("evaluate",), code, tuple(out), tuple(err), sent, sent_at,
                 hung)


# --- drawing -----------------------------------------------------------------


def test_every_fault_has_a_scenario_and_every_scenario_known_faults():
  named = {fault for s in chaos.SCENARIOS for fault in s.faults}
  assert named == set(scenarios.FAULTS)
  names = [s.name for s in chaos.SCENARIOS]
  assert len(set(names)) == len(names)


def test_a_seed_draws_all_kinds_then_by_weight():
  kinds = [Scenario(str(i), ("f",), print, weight=i + 1) for i in range(5)]

  def draw(seed, count=2005):
    return [
        (number, s.name)
        for number, s in itertools.islice(scenarios.order(kinds, seed), count)
    ]

  one = draw(3)
  assert one == draw(3) != draw(4)
  assert [n for n, _ in one] == list(range(2005))
  assert {name for _, name in one[:5]} == set("01234")
  counts = [sum(name == str(i) for _, name in one[5:]) for i in range(5)]
  np.testing.assert_allclose(counts, 2000 * np.arange(1, 6) / 15, rtol=0.25)


def test_a_number_repeats_its_scenario(tmp_path):
  def draws(case):
    case.note(str(case.rng.integers(10**9)))

  kind = Scenario("draws", ("f",), draws)
  notes = [
      scenarios.carry_out(kind, number, seed, None, tmp_path / "x").notes
      for number, seed in ((7, 1), (8, 1), (7, 2), (7, 1))
  ]
  assert notes[0] == notes[3] and len(set(notes)) == 3
  args = chaos.make_parser().parse_args(["--seed=5", "--numbers=50,3"])
  assert chaos.choose(args) == [
      pair for pair in itertools.islice(
          scenarios.order(chaos.SCENARIOS, 5), 51) if pair[0] in (3, 50)
  ]


def test_what_a_scenario_comes_to(tmp_path):
  def run(case):
    case.folder.mkdir()
    case.check("", "b")
    case.check("seen", "b")
    case.outcomes += [outcome(-9, sent="SIGKILL"), outcome()]
    raise ZeroDivisionError("chaos")

  result = scenarios.carry_out(
      Scenario("s", ("a", "b"), run), 1, 0, None, tmp_path / "case")
  assert result.found[0] == ("b", "seen")
  assert result.found[1][0] == "a" and "ZeroDivisionError" in result.found[1][1]
  assert (result.kills, result.commands) == (1, 2)
  assert not (tmp_path / "case").exists()

  def impossible(case):
    raise Impossible("no root")

  result = scenarios.carry_out(
      Scenario("s", ("a",), impossible), 1, 0, None, tmp_path / "case")
  assert result.impossible == "no root" and not result.found
  with pytest.raises(ValueError, match="does not name"):
    scenarios.carry_out(
        Scenario("s", ("a",), lambda case: case.check("x", "other")), 1, 0,
        None, tmp_path / "case")


# --- verdicts ----------------------------------------------------------------


def test_refusals():
  good = outcome(2, ["a line"], ["warning: w", "error: data/x: damaged"])
  assert not verdicts.refusal(good, "data") and not verdicts.refusal(good)
  assert "names none" in verdicts.refusal(good, "run")
  for bad in (
      outcome(2, [], ["error: a", "error: b"]), outcome(2),
      outcome(1, [], ["error: a"]), outcome(0), outcome(-11),
      outcome(2, [], [*TRACE, "error: a"]), outcome(hung=True),
  ):
    assert verdicts.refusal(bad), bad
  assert "ValueError: no" in verdicts.broken(outcome(1, [], TRACE))
  assert "signal 11" in verdicts.broken(outcome(-11))
  assert not verdicts.broken(outcome(-9, sent="SIGKILL"))
  assert verdicts.broken(outcome(-9, sent="SIGTERM"))


def test_results_are_compared_only_where_a_command_ended_well():
  for verdict in (verdicts.finished, verdicts.finished_or_refused):
    assert verdict(outcome(), lambda: "other") == "other"
    assert not verdict(outcome(), lambda: "")
    assert verdict(outcome(1, [], TRACE), lambda: "")
  refused = outcome(2, [], ["error: x"])
  assert verdicts.finished(refused, lambda: "")
  assert not verdicts.finished_or_refused(refused, lambda: "other", "x")


def test_interruptions():
  said = ["step 1/9 | loss 1", "stopped by Ctrl-C; run again to resume"]
  assert not verdicts.interruption(outcome(130, said, sent="SIGINT"))
  assert not verdicts.interruption(outcome(0, said, sent="SIGINT", sent_at=1))
  for bad in (
      outcome(130, [], TRACE), outcome(1, said), outcome(130),
      outcome(130, [], ["KeyboardInterrupt"]), outcome(130, said + said),
      outcome(-2, said),
      outcome(0, [f"step {i}/9 | loss 1" for i in range(9)], sent="SIGINT"),
  ):
    assert verdicts.interruption(bad), bad


def test_what_is_lost(tmp_path):
  for name in ("a", "b", "c"):
    (tmp_path / name).write_text("same" if name != "c" else "other")
  before = verdicts.snapshot(tmp_path)
  assert not verdicts.lost(before, tmp_path)
  (tmp_path / "c").rename(tmp_path / "damaged-c")  # set aside, not lost
  (tmp_path / "new").write_text("new")
  assert not verdicts.lost(before, tmp_path)
  (tmp_path / "b").write_text("changed")
  assert verdicts.lost(before, tmp_path) == "b is lost"


def test_differences():
  want = {"rows": [{"step": 1, "loss": 1.0}], "n": None}
  assert not same.difference(want, json.loads(json.dumps(want)))
  for got, word in (
      ({"rows": want["rows"]}, "n is missing"), ({**want, "m": 1}, "m is new"),
      ({**want, "rows": []}, "0 in place of 1"),
      ({**want, "rows": [{"step": 1, "loss": 1.5}]}, "rows[0]/loss is 1.5"),
  ):
    assert word in same.difference(want, got)
  arrays = {"a.qkv.bias": np.zeros(6), "w": np.ones(3)}
  near = {"a.qkv.bias": np.array([0, 0, 5.0, 5, 0, 0]), "w": np.ones(3) + 1e-9}
  assert not same.distance(arrays, near, 1e-6)
  near["a.qkv.bias"][0] = 1
  assert "qkv.bias" in same.distance(arrays, near, 1e-6)
  assert same.distance(arrays, {"w": np.ones(3)}, 1)


def test_rows_without_speeds(tmp_path):
  path = tmp_path / "metrics.jsonl"
  path.write_text('{"step": 1, "train/loss": 2, "train/segments_per_s": 9}\n')
  assert same.rows(tmp_path) == [{"step": 1, "train/loss": 2}]
  path.write_text("{")
  assert "cannot be read" in same.rows(tmp_path)


@pytest.mark.parametrize("way", damage.WAYS)
def test_damage_changes_a_file(tmp_path, way):
  path = tmp_path / "f"
  path.write_bytes(bytes(range(200)))
  assert damage.draw(path, np.random.default_rng(0), (way,)).startswith("f: ")
  assert not path.is_file() or path.read_bytes() != bytes(range(200))


# --- commands and signals ----------------------------------------------------


def start(tmp_path, text, at_line=None, **environment):
  place = commands.Commands(tmp_path, tmp_path)
  return commands.Process(
      [sys.executable, "-c", text], ["python"],
      place.environment(**environment), tmp_path, at_line)


COUNTS = "import itertools, time\nfor i in itertools.count(): print(i)\n"


def test_signals_after_lines_and_at_file_events(tmp_path):
  ended = start(tmp_path, COUNTS, (3, "SIGTERM", 0)).end()
  assert (ended.code, ended.sent) == (-signal.SIGTERM, "SIGTERM")
  assert ended.sent_at == 3 and ended.out[:3] == ("0", "1", "2")
  opens = "for i in range(9):\n  open(f'mine{i}', 'w')\n  print(i)\n"
  ended = start(tmp_path, opens, at="4:SIGKILL:mine").end()
  assert ended.code == -signal.SIGKILL and ended.out == ("0", "1", "2")
  ended = start(
      tmp_path, opens, CHAOS_COUNT=str(tmp_path / "n"), CHAOS_OF="mine[3-8]"
  ).end()
  assert ended.code == 0 and (tmp_path / "n").read_text() == "6"


def test_ctrl_c_comes_from_outside(tmp_path):
  ended = start(
      tmp_path, "print('before')\nopen('mine', 'w')\n" + COUNTS,
      at="1:SIGINT:mine").end()
  assert ended.sent_at == 1 and ended.out[0] == "before"
  assert commands.SAYS == sitecustomize.SAYS not in ended.said
  assert "KeyboardInterrupt" in ended.said and verdicts.interruption(ended)


def test_a_command_stops_and_goes_on(tmp_path):
  process = start(tmp_path, "open('mine', 'w')\nprint(1)",
                  at="1:SIGSTOP:mine")
  assert process.until_stopped()
  process.go_on()
  assert process.end().out == ("1",)
  process = start(tmp_path, "", at="1:SIGSTOP:mine")
  assert not process.until_stopped() and process.end().code == 0


def test_a_command_without_an_end_is_killed(tmp_path):
  ended = start(tmp_path, "import time\ntime.sleep(99)").end(seconds=0.2)
  assert ended.hung and "does not end" in verdicts.broken(ended)


# --- planted faults and the table --------------------------------------------


def test_planted_faults_have_scenarios():
  assert set(planted.PLANTS) == set(chaos_plants.PLANTS)
  assert len(planted.find(chaos.SCENARIOS)) == len(planted.PLANTS)
  with pytest.raises(KeyError):
    planted.find(chaos.SCENARIOS, {"x": "no such scenario"})


def test_a_planted_fault_is_put_into_a_command(tmp_path):
  text = ("import fcntl\nfor n in 'ab':\n  f = open('x', 'w')\n"
          "  fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
          "  vars()[n] = f\n")
  assert start(tmp_path, text).end().code == 1
  ended = start(
      tmp_path, text, CHAOS_PLANT="locks are given to everybody").end()
  assert ended.code == 0, ended.said


def result(number=0, found=(), faults=("a", "b"), impossible=""):
  return Result(number, "s", faults, tuple(found), ("note",), 2, 3, 1.0,
                impossible)


def test_a_plant_is_tried_several_times():
  def carry_out(scenario, number, seed, fault):
    seen = fault and number == 2
    return result(number, [("a", "seen")] if seen else [])

  kind = Scenario("s", ("a",), print)
  proof = planted.prove("p", kind, 0, carry_out)
  assert proof.found == ("seen",) and proof.without == ()
  missed = planted.prove("p", kind, 0, lambda *unused: result())
  assert not missed.found


def test_table(tmp_path):
  results = [
      result(1, [("a", "x | y"), ("a", "z")]), result(2), result(3),
      result(4, faults=("c",), impossible="no root"),
  ]
  kinds = [Scenario("s", ("a", "b"), print), Scenario("t", ("d",), print)]
  summary = table.summarise(results, kinds, ("a", "b", "c", "d"))
  a = summary["a"]
  assert (a["tried"], a["found"], a["numbers"]) == (3, 1, [1])
  assert a["seen"] == ["x | y", "z"] and a["scenarios"] == ["s"]
  about = {"command": "chaos", "seed": 5, "version": "1", "minutes": 3.2}
  found = table.to_json(about, summary, results, [])
  assert table.failed(found)
  table.write(found, tmp_path / "t")
  text = (tmp_path / "t.md").read_text()
  assert "| a | 3 | 1 | 1 | x \\| y; z |" in text
  assert "| b | 3 | no |  | – |" in text
  assert "| c | 0 | no |  | not possible: no root |" in text
  assert "| d | 0 | no |  | not reached |" in text
  assert json.loads((tmp_path / "t.json").read_text()) == json.loads(
      json.dumps(found))
  good = table.summarise(results[1:3], kinds, ("a",))
  assert not table.failed(table.to_json(about, good, results[1:3], []))


def test_a_missed_plant_fails_the_run():
  about = {"command": "chaos", "seed": 5, "version": "1", "minutes": 3.2}
  kept = planted.Planted("p", "s", ("seen",), ())
  lost = planted.Planted("q", "s", (), ())
  found = table.to_json(about, {}, [], [kept, lost])
  assert table.failed(found) and "| q | s | MISSED |" in table.to_markdown(
      found)
  assert not table.failed(table.to_json(about, {}, [], [kept]))


def test_a_case_picks_from_lists(tmp_path):
  case = Case(None, np.random.default_rng(0), tmp_path, "f")
  assert {case.pick(["a", "b"]) for _ in range(20)} == {"a", "b"}
