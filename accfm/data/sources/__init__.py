"""One module per kind of recordings: a folder in, Recordings out.

A source has `list_recordings(source_dir, cfg) -> [name]` and
`read_recording(source_dir, name, cfg) -> Recording`, and knows nothing else.
"""

from accfm.data.sources import e4, ieee_spc, simulated

SOURCES = {"simulated": simulated, "e4": e4, "ieee_spc": ieee_spc}
