"""What an objective is wired from, beside the config of its run."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from accfm.signals.contract import Contract
from accfm.signals.targets import Target
from accfm.steps.record import Record


@dataclasses.dataclass(frozen=True)
class Start:
  """The encoder that a run starts from: a teacher, or weights to go on from.

  Attributes:
    signal: name of the signal that it reads.
    config: its encoder config.
    variables: {"params", "batch_stats"?}; None for weights that are drawn.
    record: of the checkpoint that it comes from; None for drawn weights.
  """

  signal: str
  config: Mapping[str, Any]
  variables: Any = None
  record: Record | None = None


@dataclasses.dataclass(frozen=True)
class Given:
  """What a run knows beside its config when its objective is wired.

  Attributes:
    contract: the data sets' input contract.
    start: what the run starts from; None for nothing.
    targets: what it predicts; () unless it is trained on labels.
  """

  contract: Contract
  start: Start | None = None
  targets: tuple[Target, ...] = ()
