"""Count in the real texts what chapters show of them, and write afl_helpers/data/corpus_facts.json.

    python tools/count_corpora.py

The texts come from AFL_DATA_DIR, or are downloaded.
"""

import json
from pathlib import Path

from afl_helpers.data import load_corpus
from afl_helpers.data.facts import count_genre_words, count_labels, count_lengths
from afl_helpers.data.sources.download import local_data_dir
from afl_helpers.training.encoders import load_tokenizer

TARGET = Path(__file__).parent.parent / "afl_helpers" / "data" / "corpus_facts.json"
#: The first plots of the CMU corpus, which are counted because the whole file is often missing.
FIRST_PLOTS = "cmu/plot_summaries.first72.txt"


def main() -> None:
    tokenizer = load_tokenizer("minilm")

    def tokens(texts: list[str]) -> dict[str, int]:
        return count_lengths(tokenizer(texts, verbose=False)["input_ids"])

    facts = {}
    for name in ("cmu-leads", "cmu-leads-masked", "reuters"):
        corpus = load_corpus(name)
        facts[name] = count_labels(corpus) | {"tokens": tokens(corpus.texts)}
        if name == "cmu-leads":
            facts[name]["genre_words"] = count_genre_words(corpus)
    for name in ("hoc", "hoc-nodes", "unfair-tos"):
        facts[name] = count_labels(load_corpus(name))
    folder = local_data_dir()
    if folder and (folder / FIRST_PLOTS).is_file():
        lines = (folder / FIRST_PLOTS).read_text(encoding="utf-8").splitlines()
        plots = [line.split("\t", 1)[1] for line in lines]
        facts["cmu, first 72 plots"] = {"documents": len(plots), "tokens": tokens(plots)}
    elif TARGET.is_file():  # keep the earlier count
        facts["cmu, first 72 plots"] = json.loads(TARGET.read_text(encoding="utf-8"))["cmu, first 72 plots"]
    TARGET.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
