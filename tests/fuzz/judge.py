"""The rule of every parser of outside files: a value, or one line.

`Judge.call` runs a parser on one case. Anything but a value or an InputError
of one line that fits a screen is a fault: a traceback, a module imported from
the case's folder, a file opened outside, a file left where none belongs, a
parser that takes gigabytes or does not end.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import resource
import signal
import sys
import sysconfig
import traceback

import hypothesis
from hypothesis import HealthCheck, Phase

from accfm.base.errors import InputError
from tests.fuzz import hostile

LONGEST = 1000  # characters of a line that says what is wrong
SECONDS = 60  # a parser that takes longer hangs; nothing depends on less
MEMORY = 3 << 30  # bytes that a parser's cases may add, far above what they do
KEPT = 50  # cases of a kind of fault, in the report
# Read by Python, its packages and the system, whatever a file says.
FREE = tuple(
    os.path.realpath(p) + os.sep for p in (
        sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"),
        sysconfig.get_path("purelib"), "/proc", "/sys", "/dev", "/usr",
        "/etc/ld.so.cache", pathlib.Path(__file__).parents[2],
    )
)

_watched: list[list[str]] = []  # of the case that runs: what it opens


def _hook(event, args):
  if event == "open" and _watched and isinstance(args[0], (str, bytes)):
    _watched[-1].append(os.fsdecode(args[0]))


sys.addaudithook(_hook)


@dataclasses.dataclass(frozen=True)
class Fault:
  """What a parser did, and must not.

  Attributes:
    parser: its test.
    kind: the exception and where it arose, or what else went wrong.
    text: of the exception.
    cases: (number from 1, what it was) of the first cases that showed it.
  """

  parser: str
  kind: str
  text: str
  cases: list[tuple[int, str]]


class Judge:
  """Runs cases of one parser in one folder and keeps their faults."""

  def __init__(self, parser: str, folder: pathlib.Path):
    self.parser, self.folder = parser, folder
    self.root = folder.parent  # nothing outside may be read
    self.cases, self.values, self.faults = 0, 0, []
    (folder / f"{hostile.PLANTED}.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('RAN').touch()\n"
        "class Planted: pass\n"
    )

  def call(self, case, parser, *args, **more):
    """The value of `parser(*args, **more)`, or None if it refused the case.

    AssertionErrors of the parser are faults too, so that it can compare what
    it reads with what was written.
    """
    self.cases += 1
    seen, modules = [], set(sys.modules)
    _watched.append(seen)
    value = None
    try:
      with _limit():
        value = parser(*args, **more)
      self.values += 1
    except InputError as error:
      self._line(case, str(error))
    except Exception as error:
      self._fault(case, _place(error), repr(error))
    finally:
      _watched.pop()
    self._side_effects(case, seen, set(sys.modules) - modules)
    return value

  def _line(self, case, text):
    if len(text.splitlines()) != 1 or "\n" in text or len(text) > LONGEST:
      shape = f"a refusal of {len(text)} characters in {text.count(chr(10))+1}"
      self._fault(case, "a refusal that is not one line", f"{shape}: {text}")

  def _side_effects(self, case, opened, modules):
    marker = self.folder / "RAN"
    planted = [m for m in modules if m.startswith(hostile.PLANTED)]
    if marker.exists() or planted:
      self._fault(case, "code of the current folder ran", str(planted))
      marker.unlink(missing_ok=True)
      for name in planted:
        sys.modules.pop(name, None)
    inside = os.path.realpath(self.root) + os.sep
    for path in opened:
      # Each folder by itself, so that a link cannot hide what it leads to.
      whole = os.path.realpath(os.path.join(self.folder, path))
      if not whole.startswith((inside, *FREE)):
        self._fault(case, "a file outside was opened", whole)

  def _fault(self, case, kind, text):
    about = self.cases, _short(getattr(case, "about", "") or repr(case))
    for fault in self.faults:
      if fault.kind == kind:
        if len(fault.cases) < KEPT:
          fault.cases.append(about)
        return
    self.faults.append(Fault(self.parser, kind, text[:300], [about]))


def _short(text, most=300):
  return text if len(text) <= most else f"{text[:most]}... ({len(text)})"


def _place(error):
  """The type of an exception and the last line of ours that it passed."""
  frames = traceback.extract_tb(error.__traceback__)
  ours = [f for f in frames if f"{os.sep}accfm{os.sep}" in f.filename]
  at = (ours or frames)[-1]
  return f"{type(error).__name__} in {pathlib.Path(at.filename).name}:{at.name}"


@contextlib.contextmanager
def _limit():
  """Ends a parser that hangs."""

  def stop(*unused):
    raise TimeoutError(f"took more than {SECONDS} s")

  before = signal.signal(signal.SIGALRM, stop)
  signal.alarm(SECONDS)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def run(judge, strategy, check, count, seed, report=None):
  """Runs `check(judge, case)` for `count` cases of a strategy.

  Raises:
    AssertionError: lists each kind of fault with the first case of it.
  """
  before = _peak()

  @hypothesis.seed(seed)
  @hypothesis.settings(
      max_examples=count, database=None, deadline=None,
      phases=[Phase.generate], suppress_health_check=list(HealthCheck),
  )
  @hypothesis.given(strategy)
  def cases(case):
    check(judge, case)

  cases()
  grown = _peak() - before
  if grown > MEMORY:
    judge._fault("all", "memory", f"{grown >> 20} MiB more")
  if report:
    with open(report, "a", encoding="utf-8") as f:
      for fault in judge.faults:
        f.write(json.dumps({**dataclasses.asdict(fault), "seed": seed}) + "\n")
      f.write(json.dumps({
          "parser": judge.parser, "seed": seed, "cases": judge.cases,
          "values": judge.values, "faults": len(judge.faults),
      }) + "\n")
  assert judge.cases >= count
  assert not judge.faults, f"seed {seed}, {judge.cases} cases:\n" + "\n".join(
      f"- case {f.cases[0][0]}: {f.kind}: {f.text}\n    {f.cases[0][1]}"
      for f in judge.faults
  )


def _peak():
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
