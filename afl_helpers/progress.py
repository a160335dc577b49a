"""One line of progress: in a terminal and in JupyterLab, not in logs and not on a page of the built book."""

import os
import sys

from tqdm import tqdm


def progress_bar(*args, show: bool = True, **kwargs) -> tqdm:
    """A tqdm bar on stderr that vanishes when it is done; hidden where nobody watches it live."""
    watched = sys.stderr.isatty() or ("ipykernel" in sys.modules and not os.environ.get("AFL_BOOK"))
    return tqdm(*args, leave=False, disable=not (show and watched), **kwargs)
