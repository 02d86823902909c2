"""Scores of predictions and their intervals over people."""
