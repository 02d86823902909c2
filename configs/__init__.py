"""Configs: `get_config(arg)` in each, plain values, units in the names."""
