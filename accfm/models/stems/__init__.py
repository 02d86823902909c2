"""Stems: how an encoder turns samples into tokens, one a file."""
