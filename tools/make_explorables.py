"""Write the numbers that the interactive parts of the book start from, and their still pictures, under book/_static.

    python tools/make_explorables.py tug statcheck watch
    AFL_DATA_DIR=... python tools/make_explorables.py train film try

No number is typed into the JavaScript: settings stand here or beside the maker, the rest comes from the package or the data.
"train", "film" and "try" need the corpus cmu-leads, and "film" the lists of Wikipedia leads in AFL_DATA_DIR.
"""

import argparse
import base64
import inspect
import json
import os
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote

import matplotlib.pyplot as plt
import numpy as np
import torch
from explorable_files import ROOT, TARGET, save, write
from scipy.special import expit, logit
from try_your_text import HEADS, make_try
from watch_the_encoder import make_watch

from afl_helpers.chapters.figures.style import PALETTE
from afl_helpers.claims import AUC_SOURCES, AVERAGES, REPORTED, check_readings, consistency, reported_range
from afl_helpers.claims.reported import _MOST_DIGITS
from afl_helpers.claims.statcheck import FLAT, MANY, PARALLEL, TOLERANCE
from afl_helpers.data import Corpus, load_corpus
from afl_helpers.data.sources.cmu_leads import WIKIPEDIA_ARCHIVE, WIKIPEDIA_COMMIT, read_wikipedia
from afl_helpers.evaluation import (
    THRESHOLD_RULES,
    best_constant_score,
    evaluate,
    fit_thresholds,
    frequency_groups,
    posterior_scores,
)
from afl_helpers.files import sha256
from afl_helpers.gamma import NORMALIZATIONS, positive_gradient
from afl_helpers.losses import build_loss
from afl_helpers.results import Result, read_result
from afl_helpers.training import ProbeConfig, embed
from afl_helpers.training.initial_bias import start_logits
from afl_helpers.training.probing import _MOVED, Head, train_heads

TUG = {
    "positives": 1,
    "negatives": 999,
    "gamma": {"min": 0, "max": 10, "step": 0.1, "value": 0},
    "score": {"min": 0.005, "max": 0.6, "step": 0.005, "value": 0.05, "ticks": [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]},
    "pulls": {"domain": [0.001, 1000], "ticks": [0.001, 0.01, 0.1, 1, 10, 100, 1000]},
    "posterior": {"domain": [1e-5, 1], "ticks": [1e-5, 1e-4, 0.001, 0.01, 0.1, 1]},
    "goals": {
        "score": 0.05,
        "balance": 0.25,
        "tasks": [
            "Leave the score at 0.05. Find the smallest gamma at which the one positive wins.",
            "Bring the balance point to 0.25 or above.",
            "Can the balance point pass one half?",
        ],
    },
}

#: Films, training films, labels (the most frequent) and dimensions of "train".
N_FILMS, N_TRAIN, N_LABELS, DIMENSIONS = 2000, 1400, 75, 64
#: int8 steps per standard deviation: values beyond 4 standard deviations are cut.
STEPS = 32
#: 1 - beta of the effective number of documents, as ``AdaptiveFocalLoss.from_counts`` uses it.
EFFECTIVE_BETA = 0.999
RARE_LABEL = "Martial Arts Film"
TRAIN = {
    "learningRate": 0.01,
    "weightDecay": 0.01,
    "batchSize": 200,
    "epochs": {"min": 1, "max": 60, "step": 1, "ticks": [0, 10, 20, 30, 40, 50, 60]},
    "gamma": {"min": 0, "max": 10, "step": 0.5},
    "lowest": {"min": 0, "max": 5, "step": 0.5},
    "highest": {"min": 0, "max": 20, "step": 0.5},
    "losses": [["bce", "cross-entropy"], ["focal", "focal loss"], ["afl", "adaptive focal loss"]],
    "readings": ["documents", "mean", "log10", "information"],
    "alphas": [["none", "none"], ["inverse_frequency", "1 / n"], ["effective_number", "1 / effective n"]],
    "starts": [["zero", "at zero"], ["prior", "at the log odds of the label"], ["loss", "at the loss's best constant"]],
    "rules": ["at_0.5", "tuned_proportional"],
    "goalRecall": 0.08,
}

_ADAPTIVE = {
    "loss": "afl",
    "gamma": 2,
    "reading": "mean",
    "bounded": True,
    "lowest": 0.5,
    "highest": 5,
    "alpha": "none",
    "start": "zero",
    "epochs": 60,
}
GOALS = [
    {
        "task": f"Get the recall of the tail to {TRAIN['goalRecall']} or more with the scores that you have. Train, then find what does it."
    },
    {"task": "Make every label move under the literal reading of Eq. 2. Change anything but the reading and the loss."},
]
PRESETS = [
    {
        "title": "Literal Eq. 2 from zero never moves",
        "story": "Gamma is 2 N / n without bounds, as Eq. 2 says to the letter. A rare label gets a gamma so large that its "
        "gradient vanishes at a score of one half, where training from zero begins. Count the labels that never moved.",
        "setting": _ADAPTIVE | {"reading": "documents", "bounded": False},
    },
    {
        "title": "A large gamma learns last",
        "story": "Base gamma 4 without bounds: the rarer the label, the larger its gamma. Watch the two histograms: the frequent "
        "label spreads at once, the rare one stays in a narrow heap near one half, and leaves it late.",
        "setting": _ADAPTIVE | {"gamma": 4, "bounded": False},
    },
    {
        "title": "An early stop leaves the head high",
        "story": "The default rule for gamma, stopped after a few epochs. All scores began at one half and are still on their "
        "way down, so the threshold of 0.5 finds much of the head and nothing of the tail. Now raise the epochs and train again.",
        "setting": _ADAPTIVE | {"epochs": 5},
    },
]


def make_tug() -> None:
    """Write the settings of "tug", and its picture at a gamma of 0 and of 5."""
    write("tug", TUG)
    rate = TUG["positives"] / (TUG["positives"] + TUG["negatives"])
    p = np.linspace(TUG["score"]["min"], TUG["score"]["max"], 200)
    figure, axes = plt.subplots(2, 1, figsize=(7, 6), sharex=True)
    for gamma, style in ((0.0, "-"), (5.0, "--")):
        up = TUG["positives"] * positive_gradient(gamma, logit(p))
        down = TUG["negatives"] * positive_gradient(gamma, -logit(p))
        axes[0].plot(p, down, style, color=PALETTE[0], label=f"{TUG['negatives']} negatives, gamma {gamma:g}")
        axes[0].plot(p, up, style, color=PALETTE[1], label=f"{TUG['positives']} positive, gamma {gamma:g}")
        axes[1].plot(p, posterior_scores(p, gamma), style, color=PALETTE[2], label=f"gamma {gamma:g}")
        for one in axes:
            one.axvline(float(best_constant_score(rate, gamma)), color="0.3", linestyle=":")
    axes[1].axhline(rate, color="0.3", linestyle=":")
    axes[0].set(yscale="log", ylim=TUG["pulls"]["domain"], ylabel="size of the pull")
    axes[1].set(yscale="log", ylim=TUG["posterior"]["domain"], xlabel="score p", ylabel="probability")
    for one in axes:
        one.legend(fontsize=8)
    save(figure, "tug")


SGM = {
    "title": "Yang et al., SGM: Sequence Generation Model for Multi-label Classification, COLING 2018, Table 1",
    "url": "https://arxiv.org/abs/1806.04822",
}
MEDBERT = {
    "title": "Bressem et al., medBERT.de, 2023, as in the model card",
    "url": "https://arxiv.org/abs/2303.08179",
}
MIMIC = {
    "title": "mimic3-icd-prediction, logistic_regression/results",
    "url": "https://github.com/Tou7and/mimic3-icd-prediction/blob/d0a4a8be5d8965f89ae7893a8235fc66d7311b8d/logistic_regression/results/README.md",
}
#: Values that others print, as printed (percentages as shares), with their source.
PRINTED = [
    {
        "title": "Paper abstracts (AAPD), SGM",
        "values": {"precision": "0.748", "recall": "0.675", "f1": "0.710"},
        "note": "The paper says micro, and the three values agree to the last digit. So would an F1 of two means: these values "
        "alone cannot tell the two apart.",
        "source": SGM,
    },
    {
        "title": "Chest CT reports, micro F1",
        "values": {"precision": "0.7655", "recall": "0.6592", "f1": "0.8398"},
        "note": "The row of GottBERT has two F1s, micro and macro, and one precision and one recall of which it does not say the "
        "average. With the micro F1 no reading is left: they are not micro values.",
        "source": MEDBERT,
    },
    {
        "title": "Chest CT reports, macro F1",
        "values": {"precision": "0.7655", "recall": "0.6592", "f1": "0.6906", "auc": "0.9248"},
        "note": "The same row with its macro F1. One average is left, a mean of the F1s, with an AUC of scores.",
        "source": MEDBERT,
    },
    {
        "title": "Hospital notes, micro",
        "values": {"precision": "0.6796", "recall": "0.1701", "f1": "0.2720", "auc": "0.9382", "labels": "8922"},
        "note": "Logistic regression on MIMIC-III, 8,922 codes. With this recall no AUC of decisions can be so high: it is one "
        "of scores. A reproduction in a repository, not a paper.",
        "source": MIMIC,
    },
    {
        "title": "Hospital notes, macro",
        "values": {"precision": "0.6144", "recall": "0.3762", "f1": "0.4666", "auc": "0.8438", "labels": "50"},
        "note": "The 50 most frequent codes. The F1 is that of the two means, to the last digit. A mean of F1s would be as high "
        "only if all labels had the same precision and recall; it is not excluded, but unlikely.",
        "source": MIMIC,
    },
]


def generated_example(seed: int = 3) -> dict:
    """Return an example whose reading is known: metrics of generated decisions, printed with four digits."""
    rng = np.random.default_rng(seed)
    rates = 0.3 / np.arange(1, 21)
    targets = rng.random((500, len(rates))) < rates
    scores = expit(rng.normal(size=targets.shape) + 2.2 * targets + logit(rates))
    metrics = evaluate(targets, scores, 0.3)
    names = {
        "precision": "precision_macro",
        "recall": "recall_macro",
        "f1": "f1_macro",
        "auc": "roc_auc_macro_of_decisions",
    }
    values = {name: f"{metrics[key]:.4f}" for name, key in names.items()}
    return {
        "title": "A generated table",
        "values": values | {"labels": str(len(rates)), "density": f"{targets.mean():.4f}"},
        "note": "Generated decisions. The truth is: macro, mean of the F1s, and an AUC of decisions. Micro and F1 of the means are "
        "found out; an AUC of scores is not, because a mean of AUCs of scores has no limit.",
    }


def make_statcheck() -> None:
    """Write the examples and constants of "statcheck", and its picture."""
    afl, density = REPORTED["afl"], inspect.signature(consistency).parameters["density"].default
    own = {
        "title": "This paper, AFL",
        "values": {
            "recall": afl["recall_micro"],
            "f1": afl["f1"],
            "auc": afl["roc_auc"],
            "density": f"{density[0]:g} to {density[1]:g}",
        },
        "note": "What the paper prints of adaptive focal loss. It does not say which AUC it means.",
    }
    data = {
        "averages": AVERAGES,
        "aucSources": AUC_SOURCES,
        "tolerance": TOLERANCE,
        "parallel": PARALLEL,
        "flat": FLAT,
        "many": MANY,
        "mostDigits": _MOST_DIGITS,
        "examples": [own, *PRINTED, generated_example()],
        "goals": [
            "Keep a precision and a recall, and find an F1 that only a mean of F1s can have.",
            "Keep the recall that the paper prints, and find the highest AUC that could be one of decisions.",
        ],
    }
    write("statcheck", data)
    checks = check_readings(afl.get("precision"), afl["recall_micro"], afl["f1"], afl["roc_auc"], None, density)
    figure, axes = plt.subplots(figsize=(8, 2.6))
    for row, check in enumerate(checks):
        colour = PALETTE[2] if check.possible else PALETTE[1]
        axes.barh(row, check.auc[1] - check.auc[0], left=check.auc[0], color=colour, height=0.6)
    axes.axvspan(*reported_range(afl["roc_auc"]), color="0.3", alpha=0.5)
    axes.set(
        yticks=range(len(checks)), xlim=(0, 1), xlabel="ROC AUC that each reading allows; the band is the printed one"
    )
    axes.set_yticklabels([check.title for check in checks])
    axes.invert_yaxis()
    save(figure, "statcheck")


def films() -> dict[str, object]:
    """Return 2,000 films of cmu-leads: embeddings of MiniLM in 64 int8 numbers each, and the labels; no text."""
    corpus = load_corpus("cmu-leads").select_labels(min_count=10)
    vectors = embed(corpus.texts, encoder="minilm", max_length=128, progress=False)
    sample = corpus.select_labels(top=N_LABELS).sample(N_FILMS, seed=0)
    train, validation, _ = sample.split(N_TRAIN, N_FILMS - N_TRAIN, 0, seed=0)
    order = np.random.default_rng(0).permutation(len(train))  # batches are taken in the order of the file
    texts = [train.texts[i] for i in order] + validation.texts
    labels = np.vstack([train.labels[order], validation.labels])
    x = np.stack([vectors[text] for text in texts]).astype(np.float64)
    # Principal components of the training films, each with a standard deviation of 1.
    mean = x[: len(train)].mean(0)
    variances, directions = np.linalg.eigh(np.cov(x[: len(train)].T))
    top = np.argsort(-variances)[:DIMENSIONS]
    components = (x - mean) @ directions[:, top] / np.sqrt(variances[top])
    codes = np.clip(np.rint(components * STEPS), -127, 127).astype(np.int8)
    counts = labels[: len(train)].sum(0)
    groups = frequency_groups(counts)
    return {
        "dimensions": DIMENSIONS,
        "scale": 1 / STEPS,
        "nTrain": len(train),
        "labels": train.label_names,
        "counts": counts.tolist(),
        "groups": [next(name for name, members in groups.items() if members[c]) for c in range(len(counts))],
        "films": [np.flatnonzero(row).tolist() for row in labels],
        "embeddings": base64.b64encode(codes.tobytes()).decode(),
    }


def train_in_python(data: dict, setting: dict, epochs: int) -> np.ndarray:
    """Train as the page does, with the package's losses and torch's AdamW.

    Returns:
        (epochs, n_validation, n_labels) validation logits after each epoch.
    """
    codes = np.frombuffer(base64.b64decode(data["embeddings"]), dtype=np.int8)
    x = torch.tensor(codes.reshape(len(data["films"]), -1) * data["scale"])
    y = torch.zeros(len(x), len(data["labels"]), dtype=torch.float64)
    for film, labels in enumerate(data["films"]):
        y[film, labels] = 1
    n = data["nTrain"]
    params = {
        "bce": {},
        "focal": {"gamma": setting["gamma"]},
        "afl": {
            "base_gamma": setting["gamma"],
            "normalization": setting["reading"],
            "bounds": (setting["lowest"], setting["highest"]) if setting["bounded"] else None,
            "alpha": None if setting["alpha"] == "none" else setting["alpha"],
        },
    }[setting["loss"]]
    loss = build_loss(setting["loss"], label_counts=data["counts"], n_documents=n, **params)
    head = torch.nn.Linear(x.shape[1], y.shape[1], dtype=torch.float64)
    torch.nn.init.zeros_(head.weight)
    with torch.no_grad():
        head.bias.copy_(start_logits(setting["start"], loss, data["counts"], n))
    optimizer = torch.optim.AdamW(head.parameters(), lr=data["learningRate"], weight_decay=data["weightDecay"])
    logits = []
    for _ in range(epochs):
        for batch in torch.arange(n).split(data["batchSize"]):
            optimizer.zero_grad()
            loss(head(x[batch]), y[batch]).backward()
            optimizer.step()
        logits.append(head(x[n:]).detach().numpy())
    return np.array(logits)


def draw_train(data: dict) -> None:
    """Draw what the page shows after training with the default rule: scores of two labels, and recall by epoch."""
    logits = train_in_python(data, _ADAPTIVE, _ADAPTIVE["epochs"])
    targets = np.zeros(logits[0].shape, dtype=int)
    for film, labels in enumerate(data["films"][data["nTrain"] :]):
        targets[film, labels] = 1
    figure, axes = plt.subplots(1, 3, figsize=(10, 3))
    bins = np.linspace(0, 1, 31)
    for one, label in zip(axes, (data["frequent"], data["rare"])):
        scores = expit(logits[-1][:, label])
        for value, colour, sign in ((1, PALETTE[1], 1), (0, PALETTE[0], -1)):
            counts = np.histogram(scores[targets[:, label] == value], bins)[0]
            one.bar(
                bins[:-1],
                sign * counts / counts.sum(),
                1 / 30,
                align="edge",
                color=colour,
                label=("without it", "with it")[value],
            )
        one.set(title=data["labels"][label], xlabel="score", yticks=[])
        one.legend(fontsize=8)
    recall = [evaluate(targets, expit(one), label_counts=data["counts"]) for one in logits]
    for group, colour in zip(("head", "medium", "tail"), PALETTE):
        axes[2].plot(
            range(1, len(recall) + 1), [one[f"recall_macro_{group}"] for one in recall], color=colour, label=group
        )
    axes[2].set(title="recall at 0.5", xlabel="epoch", ylim=(0, 1))
    axes[2].legend(fontsize=8)
    save(figure, "train")


def make_train() -> None:
    """Write the films and the settings of "train", its checksum, and its picture."""
    adam = {name: p.default for name, p in inspect.signature(torch.optim.AdamW).parameters.items()}
    data = films()
    settings = TRAIN | {
        "beta1": adam["betas"][0],
        "beta2": adam["betas"][1],
        "epsilon": adam["eps"],
        "effectiveBeta": EFFECTIVE_BETA,
        "moved": _MOVED,
        "readings": [[name, NORMALIZATIONS[name].formula.replace("g", "gamma", 1)] for name in TRAIN["readings"]],
        "rules": [[name, THRESHOLD_RULES[name].title] for name in TRAIN["rules"]],
        "frequent": int(np.argmax(data["counts"])),
        "rare": data["labels"].index(RARE_LABEL),
        "presets": PRESETS,
        "goals": GOALS,
    }
    write("train", settings | data)
    draw_train(settings | data)


#: The ten films of "film", by their ids in the corpus; all are validation films of block 1.
LEADS = (
    "73438",  # Double Indemnity
    "4593920",  # The Maltese Falcon, 1931
    "68388",  # The General
    "54999",  # Forbidden Planet
    "77856",  # Mary Poppins
    "166813",  # Spartacus
    "68082",  # Abbott and Costello Meet Frankenstein
    "34344124",  # Terminator 2
    "903383",  # Shrek the Third
    "2002104",  # Halloween II, 1981
)
#: Validation films of "film", the ten among them.
N_SHOWN = 200
#: 30 of the 227 genres, from the most frequent to rare ones; each has at least 2 of the films.
GENRES = (
    *("Drama", "Comedy", "Black-and-white", "Romance Film", "Thriller", "Action", "Crime Fiction", "Silent film"),
    *("Adventure", "Western", "Horror", "Romantic comedy", "Mystery", "Musical", "Family Film", "Science Fiction"),
    *("Fantasy", "War film", "Film noir", "Animation", "Parody", "Sports", "Slapstick", "Documentary", "Slasher"),
    *("Spy", "Detective", "Gangster Film", "Martial Arts Film", "Superhero movie"),
)
FILM = {
    "step": 0.001,  # of the logits
    "losses": [["bce", "cross-entropy"], ["focal", "focal loss, gamma 5"], ["afl", "adaptive focal loss"]],
    "common": {"min": 0.01, "max": 0.99, "step": 0.01, "value": 0.5},
    "rules": ["tuned_common", "tuned_per_label", "tuned_proportional"],
    "frequent": "Drama",
    "rare": "Film noir",
    "goals": {"apart": 0.2, "together": 0.03, "micro": 0.57},
}
STUDY, BLOCK = "frozen-encoder", 1


def recorded(setting: str) -> Result:
    """Return what the study recorded of a setting on cmu-leads, block 1."""
    return read_result(ROOT / "results" / STUDY / "runs" / f"cmu-leads--{setting}--block{BLOCK}.json")


def train_like_the_study() -> tuple[Corpus, Corpus, dict[str, np.ndarray]]:
    """Train the three heads as the study does; the learning rates are those of its pilots.

    Focal loss gets the rate of AFL: the study tuned none for it on this corpus.

    Returns:
        The training and validation films, and the validation scores of each loss, (n_films, n_labels).
    """
    runs = {"bce": recorded("bce"), "focal": recorded("afl"), "afl": recorded("afl")}
    heads = []
    for loss, run in runs.items():
        config = ProbeConfig(**{name: value for name, value in run.config.items() if name != "method"})
        heads.append(Head(loss, config, run.seed, {"gamma": 5.0} if loss == "focal" else {}))
    splits = load_corpus("cmu-leads").select_labels(min_count=10).split(0.8, 0.1, 0.1, seed=BLOCK)
    scores = {}
    for loss, head in zip(runs, train_heads(*splits, heads, progress=False)):
        run = head.run()
        scores[loss] = run.scores["validation"]
        if loss != "focal":
            found, wanted = run.metrics["validation"], runs[loss].metrics["validation"]
            for rule in ("at_0.5", *FILM["rules"]):
                if abs(found[rule]["f1_macro"] - wanted[rule]["f1_macro"]) > 0.005:
                    raise SystemExit(f"the head trained with {loss} differs from that of results/{STUDY}: {rule}")
    return splits[0], splits[1], scores


def articles() -> dict[str, dict]:
    """Return the entry of the Wikipedia lists by its lead, without leads that stand there several times."""
    entries = defaultdict(list)
    lists = read_wikipedia(Path(os.environ["AFL_DATA_DIR"]) / "wikipedia-movies" / WIKIPEDIA_ARCHIVE)
    for name in sorted(lists):
        for entry in json.loads(lists[name]):
            entries[" ".join((entry.get("extract") or "").split())].append(entry)
    return {lead: found[0] for lead, found in entries.items() if len(found) == 1}


def film_data() -> tuple[dict, dict]:
    """Return the scores of 200 validation films, and the leads of ten of them."""
    train, validation, scores = train_like_the_study()
    of_lead = articles()
    known = np.array([text in of_lead for text in validation.texts])
    ten = np.isin(validation.document_ids, LEADS)
    others = validation.select_documents(known & ~ten).sample(N_SHOWN - len(LEADS), seed=BLOCK)
    films = [validation.document_ids.index(one) for one in (*LEADS, *others.document_ids)]
    labels = [validation.label_names.index(genre) for genre in GENRES]
    targets = validation.labels[:, labels]
    counts = train.label_counts[labels]
    if not (np.diff(counts) <= 0).all() or targets[films].sum(0).min() < 2:
        raise SystemExit("the genres are not in order of their number, or one has fewer than 2 of the films")
    data = FILM | {
        "labels": list(GENRES),
        "counts": counts.tolist(),
        "nValidation": len(validation),
        "titles": [of_lead[validation.texts[film]]["title"] for film in films],
        "genres": [np.flatnonzero(targets[film]).tolist() for film in films],
        "rules": [[name, THRESHOLD_RULES[name].short_title] for name in FILM["rules"]],
        "frequent": GENRES.index(FILM["frequent"]),
        "rare": GENRES.index(FILM["rare"]),
        "logits": {},
        "thresholds": {},
    }
    for loss, values in scores.items():
        codes = np.clip(np.rint(logit(values[:, labels]) / FILM["step"]), -32767, 32767).astype("<i2")
        data["logits"][loss] = base64.b64encode(codes[films].tobytes()).decode()
        # The rules are tuned on all validation films, on the scores as the page has them.
        tuned = fit_thresholds(targets, expit(codes * FILM["step"]), counts / len(train), FILM["rules"])
        data["thresholds"][loss] = {rule: np.asarray(value).tolist() for rule, value in tuned.items()}
    goals = FILM["goals"]
    data["goals"] = goals | {
        "tasks": [
            f"Make {FILM['rare']} appear at least once.",
            f"Find one threshold at which the micro F1s of the three losses lie {goals['apart']} or more apart.",
            f"Now bring these micro F1s within {goals['together']} of each other, each at {goals['micro']} or more.",
        ]
    }
    leads = []
    for number, film in enumerate(films[: len(LEADS)]):
        entry = of_lead[validation.texts[film]]
        leads.append(
            {
                "film": number,
                "title": entry["title"],
                "year": entry["year"],
                "article": unquote(entry["href"]).replace("_", " "),
                "url": f"https://en.wikipedia.org/wiki/{entry['href']}",
                "text": validation.texts[film],
            }
        )
    return data, {
        "licence": {"name": "CC BY-SA 4.0", "url": "https://creativecommons.org/licenses/by-sa/4.0/"},
        "source": f"prust/wikipedia-movie-data at {WIKIPEDIA_COMMIT}",
        "films": leads,
    }


def scores_of(data: dict, loss: str) -> np.ndarray:
    """Return the scores that the page reads from its data, (n_films, n_labels)."""
    codes = np.frombuffer(base64.b64decode(data["logits"][loss]), dtype="<i2")
    return expit(codes.reshape(len(data["titles"]), -1) * data["step"])


def draw_film(data: dict) -> None:
    """Draw the scores of the first film under the three losses, with the threshold of one half."""
    figure, axes = plt.subplots(1, len(data["losses"]), figsize=(10, 7), sharey=True)
    for one, (loss, title) in zip(axes, data["losses"]):
        has = [c in data["genres"][0] for c in range(len(data["labels"]))]
        colours, hatches = [PALETTE[1 if h else 0] for h in has], ["///" if h else "" for h in has]
        one.barh(data["labels"], scores_of(data, loss)[0], color=colours, hatch=hatches, edgecolor="white", linewidth=0)
        one.axvline(data["common"]["value"], color="0.3", linestyle="--")
        one.set(title=title, xlabel="score", xlim=(0, 1))
    axes[0].invert_yaxis()
    figure.suptitle(f"{data['titles'][0]}: striped, the genres that it has")
    save(figure, "film")


def make_film() -> None:
    """Write the scores and the leads of "film", and its picture."""
    data, leads = film_data()
    write("film", data)
    write("leads", leads)
    draw_film(data)


def write_checksums() -> None:
    """Write the checksums of the files that come from a corpus."""
    paths = [TARGET / "data" / f"{name}.js" for name in ("train", "film", "leads", "try", *HEADS)]
    (TARGET / "data" / "checksums.sha256").write_text("".join(f"{sha256(path)}  {path.name}\n" for path in paths))


MAKERS = {
    "tug": make_tug,
    "statcheck": make_statcheck,
    "train": make_train,
    "film": make_film,
    "try": make_try,
    "watch": make_watch,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*MAKERS, []], help="which to make (default: all)")
    for name in parser.parse_args().names or MAKERS:
        MAKERS[name]()
    write_checksums()


if __name__ == "__main__":
    main()
