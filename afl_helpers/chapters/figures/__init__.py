"""Every figure of the book."""

from afl_helpers.chapters.figures.concepts import *  # noqa: F403
