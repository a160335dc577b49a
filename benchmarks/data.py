"""Reading a corpus of CMU's size: the package's reader beside a plain one with pandas and json.

    python benchmarks/data.py

The benchmark writes two files of the size of the CMU Movie Summary Corpus into a temporary folder: 81,741 rows of metadata
and 42,000 plots of about 310 words. It takes real rows if AFL_DATA_DIR holds them, else those of the embedded corpus. Each
reader runs in processes of its own. The table shows median times without imports and the peak memory of the process. The
ratio of times is that of CPU times, which a busy machine distorts less. The plain reader does less: it does not check
lines, clean texts or count what it drops.
"""

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import pandas
from common.process import in_a_process

from afl_helpers.data.sources import cmu, toy
from afl_helpers.files import write_json
from afl_helpers.results import describe_environment

N_MOVIES = 81_741
N_PLOTS = 42_000
WORDS = 310
REPETITIONS = 3
RESULT = Path(__file__).resolve().parent.parent / "results" / "benchmarks" / "data.json"


def with_package(folder: Path) -> tuple[int, int]:
    """Return the numbers of documents and labels, read by the package."""
    return cmu.load_layout(folder).labels.shape


def with_pandas(folder: Path) -> tuple[int, int]:
    """Return the numbers of documents and labels, read by the plain reader."""
    from sklearn.preprocessing import MultiLabelBinarizer

    options = {"sep": "\t", "header": None, "quoting": 3}
    metadata = pandas.read_csv(folder / cmu.METADATA_FILE, usecols=[0, 8], names=range(9), **options)
    plots = pandas.read_csv(folder / cmu.PLOTS_FILE, names=[0, "text"], **options)
    metadata["genres"] = [list(json.loads(genres).values()) for genres in metadata[8]]
    joined = plots.merge(metadata, on=0)
    joined = joined[joined["genres"].map(len) > 0]
    return MultiLabelBinarizer().fit_transform(joined["genres"]).shape


WAYS: dict[str, Callable[[Path], tuple[int, int]]] = {
    "afl_helpers": with_package,
    "pandas + json": with_pandas,
}


def write_input(folder: Path) -> str:
    """Write the two files; return in words what they are made of."""
    data_dir = Path(os.environ.get("AFL_DATA_DIR", ""))
    real_plots = data_dir / "cmu" / "plot_summaries.first72.txt"
    local = cmu.local_metadata(data_dir) if real_plots.is_file() else None
    if local is not None:
        made_of, metadata, plots = "real metadata, 72 real plots repeated", local.content, real_plots.read_bytes()
    else:
        made_of, files = "the embedded corpus repeated", toy.toy_files()
        metadata, plots = files[cmu.METADATA_FILE], files[cmu.PLOTS_FILE]
    rows = [line.partition("\t")[::2] for line in metadata.decode().split("\n") if line]
    texts = [line.partition("\t")[2] for line in plots.decode().split("\n") if line]
    if made_of.startswith("the embedded"):
        rows = [(str(number), row) for number, (_, row) in enumerate(islice(cycle(rows), N_MOVIES), start=1)]
    ids = [movie_id for movie_id, _ in rows[:: len(rows) // N_PLOTS][:N_PLOTS]]

    words = cycle(" ".join(texts).split(" "))
    (folder / cmu.METADATA_FILE).write_text("".join(f"{i}\t{row}\n" for i, row in rows), encoding="utf-8")
    with open(folder / cmu.PLOTS_FILE, "w", encoding="utf-8", newline="\n") as file:
        for movie_id in ids:
            file.write(f"{movie_id}\t{' '.join(islice(words, WORDS))}\n")
    return made_of


def measure(way: str, folder: Path) -> dict:
    """Read once and report the costs; meant for a process of its own."""
    start, cpu_start = time.perf_counter(), time.process_time()
    documents, labels = WAYS[way](folder)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    times = {"seconds": seconds, "cpu_seconds": cpu_seconds}
    return times | {"peak_mib": peak, "documents": documents, "labels": labels}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made_of = write_input(folder)
        runs = {way: [] for way in WAYS}
        for _ in range(REPETITIONS):  # in turns, so that a busy moment does not hit one reader alone
            for way in WAYS:
                runs[way].append(in_a_process(__file__, "--measure", way, folder))
    rows = [
        {
            "way": way,
            "seconds": round(statistics.median(run["seconds"] for run in results), 3),
            "cpu_seconds": round(statistics.median(run["cpu_seconds"] for run in results), 3),
            "peak_mib": round(max(run["peak_mib"] for run in results)),
            "documents": results[0]["documents"],
            "labels": results[0]["labels"],
            "input": made_of,
        }
        for way, results in runs.items()
    ]
    plain = rows[-1]
    for row in rows:
        row["time_ratio"] = round(row["cpu_seconds"] / plain["cpu_seconds"], 2)
        row["memory_ratio"] = round(row["peak_mib"] / plain["peak_mib"], 2)

    print(f"{N_MOVIES:,} movies, {N_PLOTS:,} plots of {WORDS} words ({made_of}); ratios to {plain['way']}")
    print(
        f"{'way':<15}{'seconds':>9}{'CPU s':>8}{'ratio':>7}{'peak MiB':>10}{'ratio':>7}{'documents':>11}{'labels':>8}"
    )
    for row in rows:
        print(
            f"{row['way']:<15}{row['seconds']:>9.2f}{row['cpu_seconds']:>8.2f}{row['time_ratio']:>7.2f}{row['peak_mib']:>10,}"
            f"{row['memory_ratio']:>7.2f}{row['documents']:>11,}{row['labels']:>8}"
        )
    write_json(RESULT, {"environment": describe_environment() | {"pandas": pandas.__version__}, "rows": rows})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
