"""Finding a minute by its other signal, or a person by their minutes."""
