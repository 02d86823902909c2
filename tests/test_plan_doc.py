"""Plans in results and in the configs say what the JSON beside them holds."""

import ast
import json
import pathlib
import re

import pytest

from benchmarks import kernel_schedule, plans, step_limit

ROOT = pathlib.Path(__file__).parents[1]
PLANS = json.loads((ROOT / "results" / "plan.json").read_text())


def test_the_table_is_of_the_plans():
  assert (ROOT / "results" / "plan.md").read_text() == plans.table(PLANS)


def test_the_page_of_the_limit():
  """Rows, sentences and the floor; the config's own plan is that of both."""
  found = json.loads((ROOT / "results" / "step_limit.json").read_text())
  page = (ROOT / "results" / "step_limit.md").read_text()
  assert page == step_limit.table(found)
  assert list(found["plans"]) == list(step_limit.VARIANTS)
  shared = [plan for plan in PLANS if plan in found["plans"].values()]
  assert [plan["topology"] for plan in shared] == ["v5e:16x16"]


def test_the_floor_by_hand():
  """Of 128 pairs: [192, 256] in bfloat16 is 98,304 bytes."""
  blocks, state = step_limit.traffic_floor(1000, 128)
  assert blocks == 8 * (2 + 3) * 98_304 + 8 * 2 * 98_304
  # Parameters, two moments: read, written; gradients: written, read.
  assert state * 128 == 1000 * 4 * (2 + 4 + 2)


def test_bundles_of_loops_are_counted():
  text = """
     0x28   :  { %52 = vsyncpa [#allocation42], 0 }
     0x2a LB: > { %85779 = sst [smem:[#allocation59_spill]] %s44533_s27 }
     0x7c   : > { %856 = sbr.rel (%p44754_p4) target = $region76 }
   0x2f9f PF: > { %s97053_s3 = smov %s97050_s10 } /* End region 3 */
   0x2fa0   :  { %57 = sbr.rel (!%p55_p11) target = $region282 }
"""
  assert kernel_schedule.bundles(text) == 3


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
