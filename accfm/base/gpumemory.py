"""A GPU that two commands share.

JAX takes 75 % of a GPU's memory as it starts, whatever it needs. A command
that runs beside a training takes only what it uses: so the training may have
its share, in whatever order the two start.
"""

import os
from collections.abc import MutableMapping

PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"
# With one of these the user has decided how memory is taken.
DECIDED = (
    PREALLOCATE, "XLA_PYTHON_CLIENT_ALLOCATOR", "XLA_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
)


def take_as_needed(
    environment: MutableMapping[str, str] = os.environ,
) -> None:
  """Has JAX take GPU memory as it is used, unless the user has decided.

  For a main, before anything uses a device: JAX reads the variable once, when
  it first looks for devices.
  """
  if not any(environment.get(name) for name in DECIDED):
    environment[PREALLOCATE] = "false"
