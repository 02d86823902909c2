"""results/plan.md and the configs say what results/plan.json holds."""

import ast
import json
import pathlib
import re

import pytest

from benchmarks import plans

ROOT = pathlib.Path(__file__).parents[1]
PLANS = json.loads((ROOT / "results" / "plan.json").read_text())


def test_the_table_is_of_the_plans():
  assert (ROOT / "results" / "plan.md").read_text() == plans.table(PLANS)


def test_the_plans_are_those_of_the_script():
  asked = [plan["command"].split()[3:] for plan in PLANS]
  want = [
      [f"--config=configs/{config}.py", f"--topology={topology}", *flags]
      for config, topology, *flags in plans.PLANS
  ]
  assert asked == want


DESCRIBED = [
    plan for plan in PLANS if plan["chip"] == "v5e"
    and "bfloat16" not in plan["command"]
]


@pytest.mark.parametrize("plan", DESCRIBED, ids=lambda plan: plan["command"])
def test_a_docstring_says_its_plan(plan):
  """The hours on that topology at that batch."""
  source = (ROOT / plan["config"]).read_text()
  text = " ".join(ast.get_docstring(ast.parse(source)).split())
  hours = re.search(
      rf"{plan['topology']} at batch {plan['batch']:,}[^.;]*? "
      r"([\d.]+) hours", text,
  )
  assert hours, text
  assert float(hours[1]) == pytest.approx(plan["hours"], rel=0.05)
