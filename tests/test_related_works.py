"""The page of related works names every cited work once, and only entries and settings that exist."""

import itertools
import re
from pathlib import Path

import pytest

from afl_helpers.augment import AUGMENTATIONS
from afl_helpers.losses import LOSSES
from afl_helpers.relations import RELATIONS
from afl_helpers.studies import METHODS, load_study
from afl_helpers.training.encoders import ENCODERS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "book" / "related-works.md").read_text(encoding="utf-8")
GRADES = ("code read", "paper known", "summary read", "abstract only", "title only")
ROWS = {
    int(cells[0].strip()[1:].partition("]")[0]): [cell.strip() for cell in cells]
    for line in PAGE.partition("\n## ")[0].splitlines()
    if line.startswith("| [")
    for cells in [line.strip("| \n").split(" | ") if not line.endswith("| |") else [*line[2:-4].split(" | "), ""]]
}
KNOWN = {*LOSSES, *AUGMENTATIONS, *RELATIONS, *METHODS, *ENCODERS}


def names(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell.partition("{cite}")[0] if "{cite}" in cell else cell)


def entries_of(study: str) -> set[str]:
    """Return everything that the settings of a study use: losses, remedies, methods and encoders."""
    content = load_study(study, ROOT / "results")
    used = {getattr(content.config, "encoder", "")}
    for setting in content.settings:
        changes = {str(setting.config.get(field, "")) for field in ("remedy", "resampling", "mixup")}
        used |= {setting.loss, content.method_of(setting)} | changes
    return used


def test_every_cited_work_has_one_row_of_five_cells():
    assert list(ROWS) == list(range(1, 29))
    assert {len(row) for row in ROWS.values()} == {5}
    assert {row[2] for row in ROWS.values()} <= set(GRADES)


def test_the_figures_of_authors_are_those_of_all_works_that_were_run_and_stand_beside_entries():
    rows = [line.strip("| ").split(" | ") for line in PAGE.partition("\n## ")[2].splitlines() if line.startswith("| [")]
    numbers = [[int(number) for number in re.findall(r"\[(\d+)\]", works)] for works, _, _ in rows]
    assert sorted(itertools.chain(*numbers)) == [number for number, row in ROWS.items() if row[4]]
    for works, (_, _, beside) in zip(numbers, rows):
        found = names(re.sub("{doc}`[^`]+`", "", beside))
        assert set(found) <= {name for number in works for name in names(ROWS[number][3])}


def test_what_is_ours_is_marked_and_nothing_else():
    ours = {name for registry in (AUGMENTATIONS, RELATIONS) for name, info in registry.items() if info.is_ours}
    ours |= {name for name, info in LOSSES.items() if info.fidelity.startswith("our construction")}
    for row in ROWS.values():
        entries = {name for name in names(row[3]) if name in {*AUGMENTATIONS, *RELATIONS, *LOSSES}}
        assert entries & ours == {name for name in entries if f"`{name}` (ours)" in row[3]}


@pytest.mark.parametrize("number", ROWS)
def test_the_names_of_a_row_exist_and_its_study_runs_them(number):
    _, _, grade, run, study = ROWS[number]
    found = names(run)
    assert set(found) <= KNOWN
    assert bool(study) == (not run.startswith(("nothing", "not run yet")))
    if study:
        assert found and set(found) <= entries_of(names(study)[0])
    if grade in ("abstract only", "title only"):
        assert not [
            name
            for name in found
            if name in AUGMENTATIONS and f"[{number}]" == AUGMENTATIONS[name].cited and not AUGMENTATIONS[name].is_ours
        ]


@pytest.mark.parametrize("registry", [AUGMENTATIONS, RELATIONS])
def test_every_entry_that_comes_from_a_cited_work_stands_in_its_row(registry):
    for name, info in registry.items():
        if info.cited and name not in ("floor_eda",):  # needs WordNet, which the study does not
            row = ROWS[int(info.cited[1:-1])]
            assert name in names(row[3]), f"{name} cites {info.cited}; name it in that row of book/related-works.md"
            assert GRADES.index(row[2]) >= GRADES.index(info.grade), f"{name}: the page knows the work better"
