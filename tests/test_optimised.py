"""What is bit for bit the same is so with XLA's optimisations on, too.

All other tests compile with few of them (`tests/conftest.py`). Here the tests
that compare bits run again, in a pytest of their own.
"""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

ROOT = pathlib.Path(__file__).parents[1]
OFF = "jax_disable_most_optimizations"
MAINS = "tests/test_resume_mains.py::test_"
TESTS = (
    "tests/train/test_resume.py",
    "tests/train/test_guard.py",
    "tests/train/test_optim.py::test_the_default_is_adamw_to_the_last_bit",
    "tests/train/checkpoints/test_first_format.py::"
    "test_a_run_that_began_with_it_ends_bit_for_bit",
    f"{MAINS}pretraining",
    f"{MAINS}pretraining_at_every_fault_point[ppg_contrastive-]",
    f"{MAINS}pretraining_at_every_fault_point[ppg_mae-]",
    f"{MAINS}pretraining_at_every_fault_point[acc_contrastive-,positives="
    "participant,encoder=efficientnet_tiny]",
    f"{MAINS}distillation_without_its_teacher",
    f"{MAINS}pretraining_killed_at_twenty_random_moments",
)


def run(*tests):
  """The last line of a pytest that compiles with all optimisations."""
  done = subprocess.run(
      [sys.executable, "-m", "pytest", "-q", "--full", "-p", "no:cacheprovider",
       *tests],
      cwd=ROOT, env={**os.environ, "ACCFM_TEST_OPTIMISED": "1"}, text=True,
      capture_output=True,
  )
  assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
  return done.stdout.splitlines()[-1]


@pytest.mark.full
@pytest.mark.parametrize("test", TESTS)
def test_with_optimisations(test):
  assert " passed in " in run(test)


def test_they_are_on_where_that_is_asked_for_alone():
  asked = "ACCFM_TEST_OPTIMISED" in os.environ
  assert jax.config.values[OFF] != asked
  if not asked:
    this = f"{__file__}::test_they_are_on_where_that_is_asked_for_alone"
    assert run(this).startswith("1 passed")
