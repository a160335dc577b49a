"""Tuned fields on a grid that grows: values are tried beyond its edge until the best one lies inside."""

from collections.abc import Mapping, Sequence

#: tuned field -> value
Values = Mapping[str, object]


def at_edge(grid: Mapping[str, Sequence[object]], tried: Sequence[Values], best: Values) -> list[str]:
    """Return the tuned fields whose best value is the lowest or highest one that was tried.

    Only positive numbers have an edge; a field with one value in the grid is not tuned.

    Example:
        >>> from afl_helpers.studies.tuning import at_edge
        >>> grid = {"learning_rate": [0.001, 0.01]}
        >>> tried = [{"learning_rate": 0.001}, {"learning_rate": 0.01}, {"learning_rate": 0.1}]
        >>> [at_edge(grid, tried, best) for best in tried]
        [['learning_rate'], [], ['learning_rate']]
    """
    names = []
    for name, values in grid.items():
        numbers = _numbers([trial[name] for trial in tried])
        if len(_numbers(values)) == len(values) > 1 and best[name] in (numbers[0], numbers[-1]):
            names.append(name)
    return names


def beyond_edge(grid: Mapping[str, Sequence[object]], tried: Sequence[Values], best: Values) -> list[dict[str, object]]:
    """Return what to try next: for each field at an edge, the value one step beyond it, by the ratio of the grid there.

    Example:
        >>> from afl_helpers.studies.tuning import beyond_edge
        >>> grid = {"learning_rate": [0.001, 0.002, 0.01]}
        >>> tried = [{"learning_rate": value} for value in grid["learning_rate"]]
        >>> [beyond_edge(grid, tried, best) for best in tried]
        [[{'learning_rate': 0.0005}], [], [{'learning_rate': 0.05}]]
    """
    more: list[dict[str, object]] = []
    for name in at_edge(grid, tried, best):
        own, numbers = _numbers(grid[name]), _numbers([trial[name] for trial in tried])
        value = numbers[-1] * own[-1] / own[-2] if best[name] == numbers[-1] else numbers[0] * own[0] / own[1]
        whole = all(isinstance(number, int) for number in own)
        new = {**best, name: max(1, round(value)) if whole else float(f"{value:.6g}")}
        if new not in tried:
            more.append(new)
    return more


def _numbers(values: Sequence[object]) -> list[float]:
    """Return the positive numbers among the values, each once, in order."""
    return sorted(
        {value for value in values if isinstance(value, int | float) and not isinstance(value, bool) and value > 0}
    )
