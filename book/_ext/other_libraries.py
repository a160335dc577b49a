"""A Sphinx extension that links names of other libraries, such as :class:`torch.nn.BCEWithLogitsLoss`, to their documentation.

This is intersphinx without its download: the book is built offline, so the few names that docstrings link stand here, and
their inventories are written when a build starts. The site's own inventory, `objects.inv`, lets others link to this package.
"""

import zlib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

#: Library -> the address of its documentation, and name -> (kind, page). On each page the name itself is the anchor.
LIBRARIES = {
    "numpy": (
        "https://numpy.org/doc/stable/",
        {"numpy.ndarray": ("class", "reference/generated/numpy.ndarray.html")},
    ),
    "pandas": (
        "https://pandas.pydata.org/docs/",
        {"pandas.DataFrame": ("class", "reference/api/pandas.DataFrame.html")},
    ),
    "sklearn": (
        "https://scikit-learn.org/stable/",
        {
            "sklearn.metrics.accuracy_score": ("function", "modules/generated/sklearn.metrics.accuracy_score.html"),
            "sklearn.model_selection.GridSearchCV": (
                "class",
                "modules/generated/sklearn.model_selection.GridSearchCV.html",
            ),
            "sklearn.model_selection.TunedThresholdClassifierCV": (
                "class",
                "modules/generated/sklearn.model_selection.TunedThresholdClassifierCV.html",
            ),
            "sklearn.multiclass.OneVsRestClassifier": (
                "class",
                "modules/generated/sklearn.multiclass.OneVsRestClassifier.html",
            ),
            "sklearn.pipeline.Pipeline": ("class", "modules/generated/sklearn.pipeline.Pipeline.html"),
        },
    ),
    "torch": (
        "https://docs.pytorch.org/docs/stable/",
        {
            "torch.Tensor": ("class", "tensors.html"),
            "torch.compile": ("function", "generated/torch.compile.html"),
            "torch.nn.BCEWithLogitsLoss": ("class", "generated/torch.nn.BCEWithLogitsLoss.html"),
            "torch.nn.Module": ("class", "generated/torch.nn.Module.html"),
        },
    ),
}


def inventory(library: str) -> bytes:
    """The names of one library in Sphinx's format of inventories, version 2."""
    names = LIBRARIES[library][1]
    entries = "".join(f"{name} py:{kind} 1 {page}#$ -\n" for name, (kind, page) in names.items())
    head = (
        "# Sphinx inventory version 2\n"
        f"# Project: {library}\n"
        "# Version: stable\n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    return head.encode() + zlib.compress(entries.encode())


def write_inventories(app: Sphinx, config: Config) -> None:
    folder = Path(app.doctreedir) / "inventories"
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for library, (address, _) in LIBRARIES.items():
        path = folder / f"{library}.inv"
        path.write_bytes(inventory(library))
        mapping[library] = (address, str(path))
    config["intersphinx_mapping"] = mapping


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.intersphinx")
    app.connect("config-inited", write_inventories, priority=400)  # intersphinx reads the mapping at 800
    return {"parallel_read_safe": True, "parallel_write_safe": True}
