"""What an evaluator gives: figures, predictions, a section of the report."""
