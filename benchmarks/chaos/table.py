"""The table of a run of chaos: each fault, what tried it and what was seen."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.chaos.planted import Planted
from benchmarks.chaos.scenarios import Result, Scenario

MOST_SEEN = 3  # different sights of a fault that are shown


def summarise(
    results: Sequence[Result], scenarios: Sequence[Scenario],
    faults: Sequence[str],
) -> dict[str, dict[str, Any]]:
  """Fault -> how often it was tried and found, where, and what was seen.

  Args:
    results: of all scenarios carried out.
    scenarios: all kinds, also those that were not reached.
    faults: in the order of the table.
  """
  out = {}
  for fault in faults:
    tried = [
        r for r in results if fault in r.faults and not r.impossible
    ]
    found = {
        r.number: [what for name, what in r.found if name == fault]
        for r in tried
    }
    found = {number: seen for number, seen in found.items() if seen}
    out[fault] = {
        "scenarios": [s.name for s in scenarios if fault in s.faults],
        "tried": len(tried),
        "found": len(found),
        "numbers": sorted(found),
        "seen": list(dict.fromkeys(
            what for number in sorted(found) for what in found[number]
        )),
        "impossible": sorted({
            r.impossible for r in results
            if fault in r.faults and r.impossible
        }),
    }
  return out


def to_json(
    about: Mapping[str, Any], summary: Mapping[str, Any],
    results: Sequence[Result], planted: Sequence[Planted],
) -> dict[str, Any]:
  """All of a run as plain data."""
  return {
      "about": dict(about),
      "faults": dict(summary),
      "planted": [dataclasses.asdict(p) for p in planted],
      "scenarios": [dataclasses.asdict(r) for r in results],
  }


def to_markdown(found: Mapping[str, Any]) -> str:
  """The table of what `to_json` gives."""
  about = found["about"]
  scenarios = found["scenarios"]
  lines = [
      "# Chaos", "",
      f"`{about['command']}`, seed {about['seed']}, version "
      f"{about['version']}.", "",
  ]
  if scenarios:
    kills = sum(r["kills"] for r in scenarios)
    hits = sum(bool(r["found"]) for r in scenarios)
    lines += [
        f"{len(scenarios)} scenarios with "
        f"{sum(r['commands'] for r in scenarios)} commands and {kills} kills "
        f"and interruptions in {about['minutes']:.0f} minutes; {hits} "
        "scenarios found something. A number repeats a scenario: "
        f"`--seed={about['seed']} --numbers=N`.", "",
        "| fault | tried | found | numbers | what was seen |",
        "|---|---|---|---|---|",
    ]
    for fault, row in found["faults"].items():
      seen = "; ".join(row["seen"][:MOST_SEEN]) or (
          "not possible: " + "; ".join(row["impossible"])
          if row["impossible"] else "–" if row["tried"] else "not reached"
      )
      more = len(row["seen"]) - MOST_SEEN
      seen += f"; {more} more" if more > 0 else ""
      numbers = ", ".join(map(str, row["numbers"][:6]))
      lines.append(_row(
          fault, row["tried"], row["found"] or "no", numbers, seen))
  if found["planted"]:
    lines += [
        "", "Faults that were put into accfm:", "",
        "| fault | scenario | found | seen | without the fault |",
        "|---|---|---|---|---|",
    ]
    for p in found["planted"]:
      lines.append(_row(
          p["fault"], p["scenario"], "yes" if p["found"] else "MISSED",
          "; ".join(p["found"][:1]), "; ".join(p["without"][:1]) or "–"))
  return "\n".join(lines) + "\n"


def _row(*cells: Any) -> str:
  return "| " + " | ".join(
      " ".join(str(cell).replace("|", "\\|").split()) for cell in cells
  ) + " |"


def failed(found: Mapping[str, Any]) -> bool:
  """Whether anything was found, or a planted fault was missed."""
  return any(row["found"] for row in found["faults"].values()) or any(
      not p["found"] for p in found["planted"]
  )


def write(found: Mapping[str, Any], out: pathlib.Path) -> None:
  """Writes OUT.json and OUT.md."""
  out.with_name(out.name + ".json").write_text(
      json.dumps(found, indent=1, ensure_ascii=False) + "\n")
  out.with_name(out.name + ".md").write_text(to_markdown(found))
