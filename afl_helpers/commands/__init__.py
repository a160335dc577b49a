"""The commands of ``python -m afl_helpers``, one module each.

Each command imports what it needs when it runs, light modules first: torch and transformers take seconds to import, and
neither the help nor an error about a misspelt name should wait for them.
"""
