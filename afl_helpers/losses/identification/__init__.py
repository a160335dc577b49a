"""Which loss a function computes, and which of the usual faults it has: :func:`~afl_helpers.losses.identify_loss`."""
