"""One line of progress in a terminal and in JupyterLab, but not in logs or on the pages of the built book."""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress_bar(iterable: Iterable[Any] | None = None, *, show: bool = True, **kwargs: Any) -> "tqdm[Any]":
    """Return a tqdm bar on stderr that disappears when it is done. It is hidden if nobody watches it live."""
    watched = not os.environ.get("AFL_BOOK") and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    return tqdm(iterable, leave=False, disable=not (show and watched), **kwargs)
