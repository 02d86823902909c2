"""The one place where the version of accfm is written."""

__version__ = "0.1.0"
