"""Layer 4: a trained encoder used on one's own recordings.

Needs neither the data sets nor the programs that trained it: see `load`.
"""

from accfm.use.encoder import Encoder
from accfm.use.load import load

__all__ = ["Encoder", "load"]
