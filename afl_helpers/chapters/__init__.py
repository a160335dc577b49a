"""What the chapters of the book use: figures, tables, exercises and profiles. Not needed to train a model."""
