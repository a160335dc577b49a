"""The file of a study: read, checked, and refused in one sentence where it is wrong."""

import pytest
from small_study import STUDY

from afl_helpers.errors import DataError
from afl_helpers.studies import load_study


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("method: probe", "method: prob", "did you mean 'probe'"),
        ("loss: bce", "loss: bcee", "unknown loss"),
        ("question:", "quest:", "unknown field 'quest'"),
        ("epochs: 3", "epochs: three", "epochs is 'three'"),
        ("name: afl-shuffled", "name: bce", "same name"),
        ("seeds: [0, 1]", "", "seeds is missing"),
        ("top: 6", "best: 6", "unknown field of a corpus 'best'"),
        ("assignment: shuffled", "asignment: shuffled", "did you mean 'assignment'"),
        ("learning_rate: [", "learning_rat: [", "did you mean 'learning_rate'"),
        ("name: afl-shuffled", "name: afl/shuffled", "'/' in its name"),
    ],
)
def test_a_wrong_study_is_refused_before_it_runs(tmp_path, old, new, words):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.yaml").write_text(STUDY.replace(old, new))
    with pytest.raises(DataError, match=words):
        load_study("s", tmp_path)
