"""Which extra of the package brings what an import misses.

`pip install accfm` is enough to use a model; what trains, prepares and
evaluates needs more, by the names of `EXTRAS`.
"""

import contextlib
from collections.abc import Iterator

from accfm.base.errors import InputError

# Module that an import misses -> extra that installs it.
EXTRAS = {
    "tensorflow_datasets": "train", "grain": "train", "array_record": "train",
    "google": "train", "optax": "train", "orbax": "train", "sklearn": "train",
    "threadpoolctl": "train", "matplotlib": "train", "tensorboardX": "train",
    "jinja2": "train", "actfast": "devices", "fastavro": "devices",
    "pyarrow": "devices", "libtpu": "tpu",
}


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
  """Turns a missing package into one line that names the extra.

  Args:
    what: the command or function that needs it.

  Raises:
    InputError: for a package of an extra; other missing modules stay errors.
  """
  try:
    yield
  except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing not in EXTRAS:
      raise
    extra = EXTRAS[missing]
    raise InputError(
        f"{what} needs {missing!r}, which is not installed: "
        f"pip install 'accfm[{extra}]'"
    ) from error
