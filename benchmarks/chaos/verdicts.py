"""What an outcome shows: a crash, one clear refusal, or results lost.

Each function returns "" where all is well, else what is wrong in one line.
"""

import collections
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterable

from benchmarks.chaos.commands import Outcome

TRACEBACK = "Traceback (most recent call last)"
CRASHES = (TRACEBACK, "Fatal Python error", "Segmentation fault")
BAD_INPUT, INTERRUPTED, PREEMPTED = 2, 130, 143
SIGNALS = {"SIGKILL": -9, "SIGTERM": -15}
MOST_SHOWN = 160


def broken(outcome: Outcome) -> str:
  """A traceback, a crash, or a command that does not end."""
  if outcome.hung:
    return "it does not end" + _last(outcome)
  for text in CRASHES:
    if text in outcome.said:
      return f"{outcome.command[0]}: traceback, " + _error(outcome)
  if outcome.code < 0 and outcome.code != SIGNALS.get(outcome.sent):
    return f"{outcome.command[0]}: ended by signal {-outcome.code}"
  return ""


def refusal(outcome: Outcome, *names: str) -> str:
  """Whether it refused in one clear line that has one of the names in it."""
  problem = broken(outcome)
  if problem:
    return problem
  if outcome.code == 0:
    return f"{outcome.command[0]}: went on without an error"
  lines = error_lines(outcome)
  if outcome.code != BAD_INPUT or len(lines) != 1:
    return (
        f"{outcome.command[0]}: exit code {outcome.code} with {len(lines)} "
        "error lines, want 2 and one" + _last(outcome)
    )
  if names and not any(name in lines[0] for name in names):
    return f"the refusal names none of {names}: {short(lines[0])}"
  return ""


def finished_or_refused(
    outcome: Outcome, same: Callable[[], str], *names: str
) -> str:
  """Whether it gave what an undisturbed run gives, or refused."""
  if outcome.code == 0 and not broken(outcome):
    return same()
  return refusal(outcome, *names)


def finished(outcome: Outcome, same: Callable[[], str]) -> str:
  """Whether it gave what an undisturbed run gives."""
  problem = broken(outcome)
  if not problem and outcome.code:
    problem = f"{outcome.command[0]}: exit code {outcome.code}" + _last(outcome)
  return problem or same()


STEP = re.compile(r"^step +(\d+)/\d+ \| loss")


def interruption(outcome: Outcome) -> str:
  """Whether Ctrl-C ended it in one line and with the exit code 130."""
  problem = broken(outcome)
  if problem:
    return problem
  if "KeyboardInterrupt" in outcome.said:
    return "Ctrl-C: KeyboardInterrupt shows" + _last(outcome)
  steps = [line for line in outcome.out[outcome.sent_at:] if STEP.match(line)]
  if outcome.code == 0:
    swallowed = outcome.sent and len(steps) > 3
    return "Ctrl-C: swallowed, it went on to its end" if swallowed else ""
  if outcome.code != INTERRUPTED:
    return (
        f"Ctrl-C: exit code {outcome.code}, want {INTERRUPTED}"
        + _last(outcome)
    )
  said = [line for line in (*outcome.out, *outcome.err) if re.search(
      r"(?i)ctrl-c|interrupt|stopped", line)]
  return "" if len(said) == 1 else (
      f"Ctrl-C: {len(said)} lines say so, want one" + _last(outcome)
  )


def error_lines(outcome: Outcome) -> list[str]:
  """The lines in which it says what is wrong."""
  return [line for line in outcome.err if line.startswith("error: ")]


def warned(outcome: Outcome, *names: str) -> bool:
  """Whether some line of it warns of one of the names, in any case."""
  return any(
      re.search(r"(?i)warning|note|differ|changed|edited|older", line)
      and any(name in line for name in names)
      for line in (*outcome.out, *outcome.err)
  )


# --- nothing lost ------------------------------------------------------------


def snapshot(folder: pathlib.Path) -> dict[str, str]:
  """{file: hash of its content} of all files below a folder."""
  return {
      path.relative_to(folder).as_posix():
          hashlib.sha256(path.read_bytes()).hexdigest()
      for path in sorted(folder.rglob("*")) if path.is_file()
  }


def lost(
    before: dict[str, str], folder: pathlib.Path,
    passing: Iterable[str] = ("tensorboard/", ".partial", ".lock"),
) -> str:
  """Whether the content of a file is gone, under this or another name."""
  now = collections.Counter(snapshot(folder).values())
  for name, content in before.items():
    if any(part in name for part in passing):
      continue
    if not now[content]:
      return f"{name} is lost"
    now[content] -= 1
  return ""


def short(text: str) -> str:
  """One line of at most so many letters."""
  text = " ".join(text.split())
  return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN - 3] + "..."


def _error(outcome: Outcome) -> str:
  """The last line of its last traceback."""
  lines, within, found = (*outcome.out, *outcome.err), False, ""
  for line in lines:
    if TRACEBACK in line:
      within = True
    elif within and re.match(r"[A-Za-z_][\w.]*(Error|Interrupt|Exit|Exception"
                             r"|Warning)?(:|$)", line):
      found, within = line, False
  return short(found or "cut off")


def _last(outcome: Outcome) -> str:
  said = (*outcome.out, *outcome.err)
  return f"; it says: {short(said[-1])}" if said else "; it says nothing"
