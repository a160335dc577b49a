import numpy as np
import pytest

from afl_helpers.augment import EDA, FloorEDA, FloorOversampling, PlainCopies, no_synonyms
from afl_helpers.errors import UsageError

TEXTS, Y = ["one two three", "four five six", "seven eight"], np.array([[1, 1], [1, 0], [1, 0]])


def test_there_are_as_many_copies_of_the_same_documents():
    method = EDA(n_new=2, synonyms=no_synonyms)
    made, labels = method.fit_resample(TEXTS, Y, 3)
    step = PlainCopies(of=EDA(n_new=2, synonyms=no_synonyms))
    copies, same = step.fit_resample(TEXTS, Y, 3)
    assert copies == TEXTS + [text for text in TEXTS for _ in range(2)] and len(made) == len(copies)
    assert np.array_equal(labels, same) and np.array_equal(step.sample_indices_, method.sample_indices_)


def test_copies_up_to_a_floor_are_the_control_of_eda_up_to_a_floor():
    copies = FloorOversampling(floor=1).fit_resample(TEXTS, Y, 3)[0]
    assert PlainCopies(of=FloorEDA(floor=1, synonyms=no_synonyms)).fit_resample(TEXTS, Y, 3)[0] == copies


def test_wrong_parameters():
    with pytest.raises(UsageError, match="of is 'mlsmote'; pass a method"):
        PlainCopies(of="mlsmote")
