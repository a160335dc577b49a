"""Fine-tuning beside what one would otherwise run: documents a second, memory, and where the time goes.

    python benchmarks/training.py [--encoders tiny minilm] [--documents 960]

Four ways train the same encoder on the same texts with the same batch of 16, AdamW, learning rate and loss (binary
cross-entropy): `fine_tune` of this package; a plain Trainer with its defaults, which pads each batch to its longest text in random
order; the same Trainer with every text padded to the maximum length; and a loop written by hand with everything that helps on this
device. Each runs in a process of its own; the second of two epochs is timed, without evaluation and checkpoints. The rate of useful
arithmetic is given beside the rate of a large matrix product on the same device, which is what it can reach.

On a CPU texts have at most 128 tokens; on a GPU 512, and bert-base with random weights joins the encoders.
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import nn
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from afl_helpers.config import ProbeConfig, TrainingConfig
from afl_helpers.data import Corpus, load_corpus
from afl_helpers.encoders import default_device, load_classifier, load_encoder, load_tokenizer
from afl_helpers.files import write_json
from afl_helpers.losses import build_loss
from afl_helpers.results import describe_environment
from afl_helpers.training import LengthGroupedSampler, embed, fine_tune, probe
from afl_helpers.training.embedding import mean_pool, pad

ON_GPU = torch.cuda.is_available()
MAX_LENGTH = 512 if ON_GPU else 128
BATCH, LEARNING_RATE, SEED = 16, 2e-5, 0
WAYS = ("fine_tune", "plain Trainer", "Trainer, padded", "tuned loop")
RESULT = Path(__file__).resolve().parent.parent / "results" / "benchmarks" / "training.json"


def parts(n_documents: int) -> tuple[Corpus, Corpus, Corpus]:
    """Leads of film articles with 227 genres, or the embedded corpus where they are not to be had."""
    try:
        corpus = load_corpus("cmu-leads").select_labels(min_count=10)
    except OSError:
        corpus = load_corpus("toy")
    order = np.random.default_rng(SEED).permutation(len(corpus))
    n_validation = max(64, n_documents // 8)
    return tuple(
        corpus.select_documents(order[start:stop])
        for start, stop in (
            (0, n_documents),
            (n_documents, n_documents + n_validation),
            (n_documents + n_validation, n_documents + 2 * n_validation),
        )
    )


class Stopwatch:
    """Seconds by what they were spent on; a GPU is waited for at both ends."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = now()
        yield
        self.seconds[name] += now() - started

    def watch(self, owner: object, method: str, name: str) -> None:
        """Time every call of a method."""
        original = getattr(owner, method)

        def timed(*args, **kwargs):
            with self(name):
                return original(*args, **kwargs)

        setattr(owner, method, timed)


def now() -> float:
    if ON_GPU:
        torch.cuda.synchronize()
    return time.perf_counter()


class SecondEpoch(TrainerCallback):
    """The seconds of the second epoch; evaluation and checkpoints come after its end."""

    def __init__(self):
        self.seconds = math.nan

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.started = now()

    def on_epoch_end(self, args, state, control, **kwargs):
        self.seconds = now() - self.started


def with_fine_tune(encoder: str, data: tuple[Corpus, Corpus, Corpus]) -> dict[str, object]:
    from afl_helpers.training import fine_tuning

    config = TrainingConfig(encoder=encoder, max_length=MAX_LENGTH, epochs=2, batch_size=BATCH, learning_rate=LEARNING_RATE)
    stopwatch, epoch = Stopwatch(), SecondEpoch()
    stopwatch.watch(fine_tuning._Documents, "__init__", "tokenising")
    stopwatch.watch(Trainer, "evaluate", "evaluation")
    stopwatch.watch(Trainer, "_save_checkpoint", "checkpoints")
    stopwatch.watch(Trainer, "get_batch_samples", "data loading")
    stopwatch.watch(Trainer, "training_step", "steps")
    stopwatch.watch(Trainer, "train", "training")
    original = Trainer.__init__

    def with_callback(self, *args, callbacks, **kwargs):
        original(self, *args, callbacks=[*callbacks, epoch], **kwargs)

    Trainer.__init__ = with_callback
    loss = build_loss("bce")
    starts: list[float] = []
    loss.register_forward_pre_hook(lambda *_: starts.append(now()))

    def stop(*_):
        stopwatch.seconds["loss, forward"] += now() - starts.pop()

    loss.register_forward_hook(stop)
    with tempfile.TemporaryDirectory() as folder:
        fine_tune(*data, loss=loss, config=config, seed=SEED, progress=False, checkpoint_dir=folder)
    whole = stopwatch.seconds.pop("training") + stopwatch.seconds["tokenising"]
    return {"seconds": epoch.seconds, "shares": {name: value / whole for name, value in stopwatch.seconds.items()}}


class _Items(torch.utils.data.Dataset):
    def __init__(self, corpus: Corpus, tokenizer, **options):
        self.ids = tokenizer(corpus.texts, truncation=True, max_length=MAX_LENGTH, **options)["input_ids"]
        self.labels = corpus.labels.astype(np.float32)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> dict[str, object]:
        return {"input_ids": self.ids[i], "labels": self.labels[i]}


def with_trainer(encoder: str, data: tuple[Corpus, Corpus, Corpus], padded: bool = False) -> dict[str, object]:
    tokenizer = load_tokenizer(encoder)
    model = load_classifier(encoder, data[0].label_names)
    model.config.problem_type = "multi_label_classification"
    epoch = SecondEpoch()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, num_train_epochs=2, per_device_train_batch_size=BATCH, learning_rate=LEARNING_RATE, seed=SEED,
            save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=not ON_GPU, dataloader_pin_memory=ON_GPU,
        )  # fmt: skip
        items = _Items(data[0], tokenizer, **({"padding": "max_length"} if padded else {}))
        Trainer(
            model, arguments, train_dataset=items, data_collator=DataCollatorWithPadding(tokenizer), callbacks=[epoch]
        ).train()
    return {"seconds": epoch.seconds}


def with_loop(encoder: str, data: tuple[Corpus, Corpus, Corpus]) -> dict[str, object]:
    device = default_device()
    tokenizer = load_tokenizer(encoder)
    model = load_classifier(encoder, data[0].label_names).to(device).train()
    items = _Items(data[0], tokenizer)
    sampler = LengthGroupedSampler([len(ids) for ids in items.ids], BATCH, SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    labels = torch.from_numpy(items.labels)
    flops = 0.0
    for epoch in range(2):
        sampler.set_epoch(epoch)
        order = list(sampler)
        started = now()
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            inputs = {name: x.to(device, non_blocking=True) for name, x in pad(tokenizer, [items.ids[i] for i in batch]).items()}
            with torch.autocast("cuda", torch.bfloat16, enabled=ON_GPU):
                logits = model(**inputs).logits
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), labels[batch].to(device))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if epoch:
                flops += step_flops(model, *inputs["input_ids"].shape)
        seconds = now() - started
    return {"seconds": seconds, "tflops": flops / seconds / 1e12}


def step_flops(model: nn.Module, n_texts: int, length: int) -> float:
    """Floating-point operations of a step: 6 for each weight of the layers and token, and those of attention."""
    config = model.config
    weights = sum(p.numel() for name, p in model.named_parameters() if "embeddings" not in name)
    attention = 12 * config.num_hidden_layers * config.hidden_size * length
    return (6 * weights + attention) * n_texts * length


def product_tflops(size: int = 8192 if ON_GPU else 1536) -> float:
    """What a large matrix product reaches here, in the precision of training."""
    kind = torch.bfloat16 if ON_GPU else torch.float32
    a, b = (torch.randn(size, size, dtype=kind, device=default_device()) for _ in range(2))
    times = []
    for _ in range(6):
        started = now()
        a @ b
        times.append(now() - started)
    return 2 * size**3 / min(times) / 1e12


FUNCTIONS: dict[str, Callable] = {
    "fine_tune": with_fine_tune,
    "plain Trainer": with_trainer,
    "Trainer, padded": lambda *args: with_trainer(*args, padded=True),
    "tuned loop": with_loop,
}


def measure(way: str, encoder: str, n_documents: int) -> dict[str, object]:
    """One way in this process: documents a second, highest memory."""
    transformers.utils.logging.set_verbosity_error()
    found = FUNCTIONS[way](encoder, parts(n_documents))
    memory = torch.cuda.max_memory_allocated() if ON_GPU else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return found | {"documents_per_second": n_documents / found["seconds"], "memory_gb": memory / 1e9}


def embedding_and_probe(n_documents: int) -> dict[str, float]:
    """Embedding beside the bare forward pass of the same batches, and the time of a head and of a grid."""
    corpus, _, _ = parts(n_documents)
    texts, device = sorted(set(corpus.texts)), default_device()
    tokenizer, encoder = load_tokenizer("minilm"), load_encoder("minilm").to(device).eval()
    ids = sorted((tokenizer(texts, truncation=True, max_length=128)["input_ids"]), key=len, reverse=True)
    batches, start = [], 0
    while start < len(ids):
        size = max(1, 32 * 128 // len(ids[start]))
        batches.append({name: x.to(device) for name, x in pad(tokenizer, ids[start : start + size]).items()})
        start += size
    with torch.inference_mode():
        mean_pool(encoder, **batches[-1])
        started = now()
        for batch in batches:
            mean_pool(encoder, **batch)
        bare = now() - started
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AFL_CACHE_DIR"] = folder
        started = now()
        embed(texts, progress=False)
        cached = now() - started
    return {"texts": len(texts), "bare_forward_per_second": len(texts) / bare, "embed_per_second": len(texts) / cached}


def probe_seconds() -> dict[str, float]:
    """A head for every genre on all training documents, once they are embedded."""
    corpus = load_corpus("cmu-leads").select_labels(min_count=10)
    data = corpus.split(0.8, 0.1, 0.1, seed=0)
    probe(*data, loss="bce", config=ProbeConfig(epochs=1), progress=False)  # embeds
    started = now()
    run = probe(*data, loss="afl", progress=False)
    return {"n_labels": corpus.n_labels, "n_documents": len(data[0]), "epochs": len(run.history), "seconds": now() - started}


def report(found: dict[str, object]) -> None:
    for encoder, ways in found["encoders"].items():
        print(f"\n{encoder}, at most {MAX_LENGTH} tokens, batch {BATCH}, {found['n_documents']} documents")
        print(f"{'':18}{'documents/s':>12}{'fine_tune is':>14}{'memory GB':>11}")
        ours = ways["fine_tune"]["documents_per_second"]
        for way, row in ways.items():
            print(f"{way:18}{row['documents_per_second']:>12.1f}{ours / row['documents_per_second']:>13.2f}x{row['memory_gb']:>11.2f}")
        print("where fine_tune's time goes: " + ", ".join(f"{n} {v:.1%}" for n, v in ways["fine_tune"]["shares"].items()))
        reached = ways["tuned loop"]["tflops"] * ours / ways["tuned loop"]["documents_per_second"]
        print(f"arithmetic: {reached:.3f} TFLOP/s, {reached / found['product_tflops']:.0%} of a large matrix product's {found['product_tflops']:.3f}")
    if "embedding" in found:
        row = found["embedding"]
        share = row["embed_per_second"] / row["bare_forward_per_second"]
        print(f"\nembedding: {row['embed_per_second']:.0f} texts/s, {share:.0%} of the bare forward pass; tokenising and the cache included")
    if "probe" in found:
        row = found["probe"]
        print(f"a head for {row['n_labels']} labels on {row['n_documents']:,} documents: {row['seconds']:.1f} s, {row['epochs']} epochs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", default=["tiny", "minilm"])
    parser.add_argument("--documents", type=int, default=960)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one, arguments.documents)))
        return
    found: dict[str, object] = {
        "environment": describe_environment(),
        "gpu": None if ON_GPU else "not measured on a GPU yet",
        "n_documents": arguments.documents,
        "max_length": MAX_LENGTH,
        "batch": BATCH,
        "product_tflops": product_tflops(),
        "encoders": {},
    }
    for encoder in arguments.encoders:
        rows = defaultdict(list)
        for _ in range(arguments.repetitions):  # way by way in turn, so that a busy minute hits all alike
            for way in WAYS:
                command = [sys.executable, __file__, "--one", way, encoder, "--documents", str(arguments.documents)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                rows[way].append(json.loads(done.stdout.splitlines()[-1]))
        middle = {way: sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2] for way, runs in rows.items()}
        ratios = {
            way: statistics.median(run["seconds"] / own["seconds"] for run, own in zip(runs, rows["fine_tune"]))
            for way, runs in rows.items()
        }
        found["encoders"][encoder] = {way: row | {"fine_tune_is": ratios[way]} for way, row in middle.items()}
    found["embedding"] = embedding_and_probe(2 * arguments.documents)
    found["probe"] = probe_seconds()
    report(found)
    write_json(RESULT, found)


if __name__ == "__main__":
    main()
