"""The interactive part "try": linear heads on the words of a text, trained with four losses and quantised.

Each has 100 words per label, the same under each loss, and int8 weights. :func:`predictors` reads the file as the page does,
into the package's own model on word counts. ``python tools/make_explorables.py try`` calls :func:`make_try`.
"""

import base64
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from explorable_files import TARGET, read, save, write
from numpy.typing import NDArray
from scipy import sparse

from afl_helpers.chapters.figures.style import PALETTE
from afl_helpers.data import Corpus, load_corpus
from afl_helpers.data.sources.genre_words import MASK_WORD
from afl_helpers.evaluation import THRESHOLD_RULES, evaluate, fit_thresholds
from afl_helpers.losses import build_loss
from afl_helpers.training.initial_bias import start_logits
from afl_helpers.training.word_counts import WordCountPredictor, new_vectorizer

#: Name -> title, loss and parameters.
LOSSES: dict[str, tuple[str, str, dict[str, float]]] = {
    "bce": ("cross-entropy", "bce", {}),
    "focal2": ("focal loss, gamma 2", "focal", {"gamma": 2.0}),
    "focal5": ("focal loss, gamma 5", "focal", {"gamma": 5.0}),
    "afl": ("adaptive focal loss", "afl", {}),
}
#: The same for all losses, so that they differ in nothing else.
PENALTY = 0.3
RULES = ("at_0.5", "tuned_common", "tuned_per_label", "tuned_proportional")
#: Words that stand in fewer training texts are left out, and the mask, which the reader's own text will not have.
WORDS = {"min_df": 5, "stop_words": sorted(new_vectorizer(1).build_analyzer()(MASK_WORD))}
PER_LABEL = 100
#: Of L-BFGS.
STEPS = 60
BLOCK = 1

Splits = tuple[Corpus, Corpus, Corpus]


def leads(masked: bool) -> Splits:
    """Return the films of block 1 of the studies on `cmu-leads`; with ``masked``, without the words of genre names."""
    splits = load_corpus("cmu-leads").select_labels(min_count=10).split(0.8, 0.1, 0.1, seed=BLOCK)
    if not masked:
        return splits
    corpus = load_corpus("cmu-leads-masked")
    places = {one: i for i, one in enumerate(corpus.document_ids)}
    texts = [[corpus.texts[places[one]] for one in split.document_ids] for split in splits]
    train, validation, test = (
        Corpus(f"{split.name}-masked", own, split.labels, split.label_names, split.document_ids)
        for split, own in zip(splits, texts)
    )
    return train, validation, test


def _tensor(x: sparse.csr_array) -> torch.Tensor:
    x = sparse.csr_array(x)
    x.sort_indices()
    parts = (torch.from_numpy(one.astype(np.int64)) for one in (x.indptr, x.indices))
    return torch.sparse_csr_tensor(*parts, torch.from_numpy(x.data.astype(np.float32)), x.shape, check_invariants=True)


class _Product(torch.autograd.Function):
    """Multiply a sparse matrix, which is given with its transpose, by weights."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, transpose: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(transpose)
        return torch.sparse.mm(x, weights)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, None, torch.Tensor]:
        return None, None, torch.sparse.mm(*ctx.saved_tensors, gradient.contiguous())


def _train(
    train: Corpus, x: sparse.csr_array, loss: str, allowed: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Minimize the sum of a loss plus ``PENALTY / 2`` times the squared weights, by L-BFGS.

    Args:
        x: (n_documents, n_words).
        loss: a name in LOSSES.
        allowed: (n_words, n_labels), which weights may differ from 0; None for all.

    Returns:
        Weights, (n_words, n_labels), and bias, (n_labels,).
    """
    _, name, params = LOSSES[loss]
    counts, n = train.label_counts, len(train)
    function = build_loss(name, label_counts=counts, n_documents=n, **params)
    targets, features, transpose = torch.from_numpy(train.dense_labels).float(), _tensor(x), _tensor(x.T)
    mask = torch.ones(()) if allowed is None else torch.from_numpy(allowed).float()
    weights = torch.zeros(x.shape[1], train.n_labels, requires_grad=True)
    bias = start_logits("loss", function, counts, n).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weights, bias], max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe", tolerance_change=0
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        logits = _Product.apply(features, transpose, weights * mask) + bias
        value = function(logits, targets, reduction="sum") + PENALTY / 2 * weights.square().sum()
        value.backward()
        return value

    optimizer.step(closure)
    return weights.detach().numpy(), bias.detach().numpy()


def _choose_words(x: sparse.csr_array, weights: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the words of each label, (n_words, n_labels): those that speak loudest, under the four losses together.

    ``weights`` is (n_losses, n_words, n_labels).

    A word is as loud as its weight times its root mean square over the documents; of each loss and label, the loudest is 1.
    """
    loud = np.abs(weights) * np.sqrt(x.multiply(x).mean(0))[:, None]
    loud = (loud / loud.max(1, keepdims=True)).sum(0)
    chosen = np.zeros(loud.shape, dtype=bool)
    np.put_along_axis(chosen, np.argsort(-loud, axis=0, kind="stable")[:PER_LABEL], True, axis=0)
    return chosen


def word_heads(masked: bool) -> dict[str, Any]:
    """Train, quantise and tune, and return what the page reads: words, weights, biases, and thresholds per loss and rule."""
    train, validation, _ = leads(masked)
    every = new_vectorizer(1, **WORDS)
    x = sparse.csr_array(every.fit_transform(train.texts))
    chosen = _choose_words(x, np.stack([_train(train, x, loss)[0] for loss in LOSSES]))
    kept = chosen.any(1)
    words = every.get_feature_names_out()[kept].tolist()
    idf = np.round(every.idf_[kept], 3).tolist()
    vectorizer = new_vectorizer(1, vocabulary=words)
    vectorizer.idf_ = np.array(idf)
    x = sparse.csr_array(vectorizer.transform(train.texts))
    places = np.array([np.flatnonzero(column) for column in chosen[kept].T])
    data: dict[str, Any] = {
        "perLabel": PER_LABEL,
        "words": " ".join(words),
        "idf": idf,
        "places": base64.b64encode(places.astype("<u2").tobytes()).decode(),
        "weights": {},
        "steps": {},
        "bias": {},
    }
    for loss in LOSSES:
        weights, bias = _train(train, x, loss, chosen[kept])
        values = np.take_along_axis(weights.T, places, 1)
        steps = np.array([float(f"{step:.4g}") for step in np.abs(values).max(1) / 127])
        codes = np.clip(np.rint(values / steps[:, None]), -127, 127).astype(np.int8)
        data["weights"][loss] = base64.b64encode(codes.tobytes()).decode()
        data["steps"][loss] = steps.tolist()
        data["bias"][loss] = np.round(bias.astype(float), 3).tolist()
    # The rules are tuned on the scores of the heads as the page has them.
    data["thresholds"] = {
        loss: {
            rule: np.round(threshold, 5).tolist()
            for rule, threshold in fit_thresholds(
                validation.dense_labels,
                predictor.predict_scores(validation.texts),
                train.label_counts / len(train),
                RULES,
            ).items()
        }
        for loss, predictor in predictors(data, train.label_names).items()
    }
    return data


def predictors(data: Mapping[str, Any], label_names: list[str]) -> dict[str, WordCountPredictor]:
    """Read the heads as the page does, and return the package's model of each loss."""
    words = data["words"].split(" ")
    places = np.frombuffer(base64.b64decode(data["places"]), "<u2").reshape(len(label_names), -1)
    models = {}
    for loss, text in data["weights"].items():
        codes = np.frombuffer(base64.b64decode(text), np.int8).reshape(places.shape)
        weights = np.zeros((len(label_names), len(words)))
        np.put_along_axis(weights, places.astype(int), codes * np.array(data["steps"][loss])[:, None], 1)
        vectorizer = new_vectorizer(1, vocabulary=words)
        vectorizer.idf_ = np.array(data["idf"])
        thresholds = {rule: np.asarray(one) for rule, one in data.get("thresholds", {}).get(loss, {}).items()}
        models[loss] = WordCountPredictor(
            label_names, thresholds, vectorizer=vectorizer, weights=weights, bias=np.array(data["bias"][loss])
        )
    return models


#: File -> whether its heads learned from masked leads. The page loads the second on demand.
HEADS = {"plainHeads": False, "maskedHeads": True}
TRY = {
    "shown": 12,  # genres in the chart
    "explained": 6,  # genres whose words are listed
    "nSpoken": 5,  # words per genre
    "fewWords": 12,
}
RARE = "Film noir"


CARD = """\
**What.** One linear head per loss, and four more for texts without the names of genres. A head gives {n_labels} genres a score
from the words of a text: TF-IDF (lower case, words of two characters or more, 1 + log of the count, length 1), and
{per_label} words per genre, the same under each loss. Weights are int8, with one step per genre and loss.

**Data.** The leads of {n_train} films of `cmu-leads` (block 1 of its studies), with {fewest} to {most} films per genre. Genres:
CMU Movie Summary Corpus; texts: English Wikipedia. The masked heads learned from the same films.

**Training.** The sum of the loss over films and genres, plus {penalty} / 2 times the squared weights, by L-BFGS; the bias starts
at the loss's best constant. The penalty is the same for all losses. Thresholds are tuned on the validation films.

**Test films.** Micro / macro F1 under each threshold rule:

| texts | loss | {titles} |
|---|---|---|---|---|---|
{rows}

**Limits.** A genre with few training films has few words that can be trusted. A score under focal loss is not a probability.
Other texts than openings of Wikipedia articles on films were not tested. The heads repeat what the articles and the genre
lists have in common, and must not be used to judge people.

**Licence.** CC BY-SA 4.0, the licence of the texts that the weights come from; the genres are CC BY-SA, too.
"""


def make_try() -> None:
    """Write the heads of "try" on plain and on masked leads, its settings, its model card and its picture."""
    train = leads(masked=False)[0]
    data = TRY | {
        "labels": train.label_names,
        "losses": [[name, loss[0]] for name, loss in LOSSES.items()],
        "rules": [[name, THRESHOLD_RULES[name].short_title] for name in RULES],
        "rare": train.label_names.index(RARE),
        "goals": [
            f"Make {RARE} appear with at most {TRY['fewWords']} words, at a threshold of one half.",
            "Take a text to which the four losses give different genres at one half. Under which rule do they agree?",
            f"Make {RARE} appear with at most {TRY['fewWords']} words under the heads that never saw the name of a genre.",
        ],
    }
    write("try", data)
    rows = []
    for name, masked in HEADS.items():
        heads = word_heads(masked)
        write(name, heads)
        rows += quality_rows(heads, masked)
    card = CARD.format(
        n_train=f"{len(train):,}",
        n_labels=train.n_labels,
        most=f"{max(train.label_counts):,}",
        fewest=min(train.label_counts),
        per_label=PER_LABEL,
        penalty=PENALTY,
        titles=" | ".join(title for _, title in data["rules"]),
        rows="\n".join(rows),
    )
    (TARGET / "data" / "try.MODEL_CARD.md").write_text(card, encoding="utf-8")
    draw_try(data)


def quality_rows(data: Mapping[str, Any], masked: bool) -> list[str]:
    """Return rows of a table: micro and macro F1 on the test films, per loss and rule."""
    train, _, test = leads(masked)
    rows = []
    for loss, model in predictors(data, train.label_names).items():
        scores = model.predict_scores(test.texts)
        found = [evaluate(test.dense_labels, scores, model.thresholds[rule]) for rule in RULES]
        cells = [f"{one['f1_micro']:.3f} / {one['f1_macro']:.3f}" for one in found]
        rows.append(f"| {'masked' if masked else 'plain'} | {LOSSES[loss][0]} | {' | '.join(cells)} |")
    return rows


def draw_try(data: Mapping[str, Any]) -> None:
    """Draw the highest scores of the first lead under the four losses, with the threshold of one half."""
    lead = read("leads")["films"][0]
    models = predictors(read("plainHeads"), data["labels"])
    scores = {loss: model.predict_scores([lead["text"]])[0] for loss, model in models.items()}
    top = np.argsort(-sum(scores.values()))[: data["shown"]]
    figure, axes = plt.subplots(1, len(scores), figsize=(11, 4), sharey=True)
    for one, (loss, title) in zip(axes, data["losses"]):
        one.barh([data["labels"][label] for label in top], scores[loss][top], color=PALETTE[0])
        one.axvline(0.5, color="0.3", linestyle="--")
        one.set(title=title, xlabel="score", xlim=(0, 1))
    axes[0].invert_yaxis()
    figure.suptitle(lead["title"])
    save(figure, "try")
