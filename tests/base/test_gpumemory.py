"""A watch leaves a training its share of a GPU."""

import os
import subprocess
import sys

import pytest

from accfm.base import gpumemory


def test_memory_is_taken_as_needed():
  environment = {"OTHER": "1", gpumemory.PREALLOCATE: ""}
  gpumemory.take_as_needed(environment)
  assert environment == {"OTHER": "1", gpumemory.PREALLOCATE: "false"}


@pytest.mark.parametrize("name", gpumemory.DECIDED)
def test_what_the_user_has_decided_stays(name):
  environment = {name: "0.5"}
  gpumemory.take_as_needed(environment)
  assert environment == {name: "0.5"}


# Starts the main as a process does; stops where it would follow the run, and
# says what JAX would be told of memory, and whether it has looked for devices.
WATCH = """
import sys
from jax._src import xla_bridge
from jaxlib import xla_client
from accfm import evaluate

def stop(*unused):
  options = xla_client.generate_pjrt_gpu_plugin_options()
  print(options.get("preallocate"), xla_bridge.backends_are_initialized())
  sys.exit(0)

evaluate.follow_run = stop
evaluate.checkpoints.load = stop
evaluate.MAIN.start(sys.argv[1:])
"""


@pytest.mark.parametrize("flags, given, want", [
    (["--watch"], {}, "False False"),
    *(pytest.param(*one, marks=pytest.mark.full) for one in (
        (["--watch"], {gpumemory.PREALLOCATE: "true"}, "True False"),
        (["--watch"], {"XLA_CLIENT_MEM_FRACTION": "0.3"}, "None False"),
        ([], {}, "None False"),
    )),
])
def test_a_watch_says_so_before_jax_looks_for_devices(
    tmp_path, flags, given, want
):
  environment = {
      k: v for k, v in os.environ.items() if k not in gpumemory.DECIDED
  }
  done = subprocess.run(
      [sys.executable, "-c", WATCH, "--config=evaluate:tiny",
       f"--checkpoint={tmp_path}", f"--workdir={tmp_path / 'out'}", *flags],
      env=environment | given, capture_output=True, text=True, timeout=300,
      check=False,
  )
  assert (done.returncode, done.stdout.strip()) == (0, want), done.stderr
