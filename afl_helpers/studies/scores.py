"""The scores of a run, kept beside its result so that a threshold rule can be judged on them later.

They lie in ``results/<study>/scores/<run>.npz``, which git ignores.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afl_helpers.data import Corpus
from afl_helpers.errors import DataError, MissingFileError
from afl_helpers.files import replacing


def scores_path(result_path: Path) -> Path:
    """Return where the scores of a run are kept whose result is at ``results/<study>/runs/<run>.json``."""
    return result_path.parent.parent / "scores" / f"{result_path.stem}.npz"


def write_scores(path: Path, scores: Mapping[str, NDArray[np.float64]], validation: Corpus, test: Corpus) -> None:
    """Write the scores of the validation and test documents, and a hash of the documents' ids.

    Scores are kept in float16. One above 1/2 is kept as minus its distance from 1, so that scores near 1 keep as many
    digits as those near 0: three.

    Raises:
        StorageError: the file cannot be written.
    """
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(
            file,
            documents=np.array(_hash_of(validation, test)),
            validation=_pack(scores["validation"]),
            test=_pack(scores["test"]),
        )


def read_scores(path: Path, validation: Corpus, test: Corpus) -> dict[str, NDArray[np.float64]]:
    """Read scores, and check that they are those of these documents.

    Returns:
        "validation" and "test" -> (n_documents, n_labels) float64.

    Raises:
        MissingFileError: there is no such file.
        DataError: the file is broken, or holds the scores of other documents.
    """
    check_kept(path)
    try:
        with np.load(path, allow_pickle=False) as content:
            documents, packed = str(content["documents"]), {split: content[split] for split in ("validation", "test")}
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error):
        raise DataError(f"{path} is broken; make it again with: {command_for(path)}") from None
    shapes = {split: (len(corpus), corpus.n_labels) for split, corpus in (("validation", validation), ("test", test))}
    if documents != _hash_of(validation, test) or {split: own.shape for split, own in packed.items()} != shapes:
        raise DataError(f"{path} holds the scores of other documents; make it again with: {command_for(path)}")
    scores = {split: _unpack(own) for split, own in packed.items()}
    if not all(np.isfinite(own).all() for own in scores.values()):
        raise DataError(f"{path} holds scores that are no numbers; make it again with: {command_for(path)}")
    return scores


def check_kept(path: Path) -> None:
    """Refuse a file of scores that is not there.

    Raises:
        MissingFileError: there is no such file.
    """
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; make it with: {command_for(path)}")


def command_for(path: Path) -> str:
    """Return the command that makes the scores of a run again."""
    folder = path.parent.parent
    return f"python -m afl_helpers study {folder.name} --results {folder.parent} --repeat {path.stem}"


def as_kept(value: float) -> float:
    """Round a threshold as kept scores are, so that a score that equals it still does; one above 1 stays above all."""
    return value if value > 1 else float(_unpack(_pack(np.array(value))))


def _pack(scores: NDArray[np.float64]) -> NDArray[np.float16]:
    return np.where(scores > 0.5, -(1 - scores), scores).astype(np.float16)


def _unpack(packed: NDArray[np.float16]) -> NDArray[np.float64]:
    values = packed.astype(np.float64)
    return np.where(np.signbit(values), 1 + values, values)


def _hash_of(validation: Corpus, test: Corpus) -> str:
    ids = "\n".join([*validation.document_ids, "", *test.document_ids])
    return hashlib.sha256(ids.encode()).hexdigest()
