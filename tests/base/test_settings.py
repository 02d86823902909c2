import pytest
from ml_collections import ConfigDict

from accfm.base import settings
from accfm.base.errors import InputError

DEFAULTS = {"rate_hz": 64.0, "tracks": ()}


@pytest.mark.parametrize("cfg, rate", [
    (None, 64.0), ({}, 64.0), ({"rate_hz": 32.0}, 32.0),
    (ConfigDict({"rate_hz": 32.0}).lock(), 32.0),
])
def test_what_is_left_out_takes_the_default(cfg, rate):
  got = settings.merge(cfg, DEFAULTS, "source_cfg")
  assert (got.rate_hz, got.tracks) == (rate, ())
  got.rate_hz = 1.0
  assert DEFAULTS["rate_hz"] == 64.0


def test_an_unknown_field_names_the_nearest():
  with pytest.raises(InputError, match="source_cfg: field 'rate' is unknown.*"
                                       "did you mean 'rate_hz'"):
    settings.merge({"rate": 1}, DEFAULTS, "source_cfg")
