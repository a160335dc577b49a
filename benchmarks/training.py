"""Speed and memory of fine-tuning, next to alternatives on the same data.

    python benchmarks/training.py [--documents 960] [--repetitions 3] [--ways-only]

Four ways train the same encoder on the same texts with a batch of 16, AdamW, the same learning rate and binary
cross-entropy:

- `fine_tune` of this package;
- a plain Trainer with its defaults, which pads each batch to its longest text, in random order;
- the same Trainer with every text padded to the maximum length;
- a loop written by hand with every optimization that helps on this device.

Each way runs in a process of its own. The second of two epochs is timed, without evaluation and checkpoints. The table of
shares shows how the time of a whole `fine_tune` run is spent, including these, with an eighth as many validation
documents. Arithmetic per second is compared with a large matrix product on the same device, which is the most that can
be reached, and with the peak that the GPU's maker states. Levers (single optimizations) are measured on an eighth of the
documents.

On a CPU the cases are the tiny encoder and MiniLM on leads of film articles with at most 128 tokens. On a GPU texts have
at most 512 tokens; the cases are MiniLM and a BERT base with random weights, on leads and on texts as long as real plots,
with the paper's batch of 16 and with one that fills the card, for at least 100 steps. The result file is training.json,
or training-gpu.json on a GPU. `--case tiny plots 4` measures a single case of any size on any device.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import transformers
from common.process import in_a_process, memory
from torch import nn
from transformers import BertConfig, BertModel, DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from afl_helpers.data import Corpus, load_corpus
from afl_helpers.data.facts import corpus_facts, token_lengths
from afl_helpers.files import write_json
from afl_helpers.losses import build_loss
from afl_helpers.results import describe_environment
from afl_helpers.training import EpochSeededLengthSampler, Head, embed, fine_tune, probe, train_heads
from afl_helpers.training.config import ProbeConfig, TrainingConfig
from afl_helpers.training.embedding import mean_pool
from afl_helpers.training.encoders import default_device, load_classifier, load_encoder, load_tokenizer

ON_GPU = torch.cuda.is_available()
#: Dense bf16 operations per second in 10^12, from the makers' data sheets.
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312, "L4": 121}
MAX_LENGTH = 512 if ON_GPU else 128
BATCH, LEARNING_RATE, SEED = 16, 2e-5, 0
#: Encoder, texts, batch.
CASES = (
    [
        ("minilm", "leads", 16),
        ("bert-base-shape", "leads", 16),
        ("bert-base-shape", "plots", 16),
        ("bert-base-shape", "plots", 128),
    ]
    if ON_GPU
    else [("tiny", "leads", 16), ("minilm", "leads", 16)]
)
WAYS = ("fine_tune", "plain Trainer", "Trainer, padded", "tuned loop")
RESULT = (
    Path(__file__).resolve().parent.parent
    / "results"
    / "benchmarks"
    / ("training-gpu.json" if ON_GPU else "training.json")
)


def splits(n_documents: int, texts: str = "leads") -> tuple[Corpus, Corpus, Corpus]:
    """Return three splits of leads of film articles with 227 genres, or of the embedded corpus if they are not there.

    With ``"plots"``, leads are concatenated to the recorded lengths of real plots.
    """
    try:
        corpus = load_corpus("cmu-leads").select_labels(min_count=10)
    except OSError:
        corpus = load_corpus("toy")
    if texts == "plots":
        lengths = np.random.default_rng(SEED).choice(token_lengths(corpus_facts()["cmu, first 72 plots"]), len(corpus))
        words = itertools.cycle(word for text in corpus.texts for word in text.split())
        # A word is about one and a third tokens.
        corpus = replace(corpus, texts=[" ".join(itertools.islice(words, int(0.75 * length))) for length in lengths])
    if n_documents + 2 * max(8, n_documents // 8) > len(corpus):
        raise SystemExit(
            f"{corpus.name} has {len(corpus):,} documents, too few for {n_documents:,} and a quarter more; pass --documents"
        )
    order = np.random.default_rng(SEED).permutation(len(corpus))
    n_validation = max(8, n_documents // 8)  # 10 % beside 80 %
    return tuple(
        corpus.select_documents(order[start:stop])
        for start, stop in (
            (0, n_documents),
            (n_documents, n_documents + n_validation),
            (n_documents + n_validation, n_documents + 2 * n_validation),
        )
    )


class Stopwatch:
    """Measure seconds per activity, waiting for the GPU at both ends."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = now()
        yield
        self.seconds[name] += now() - started

    def watch(self, owner: object, method: str, name: str) -> None:
        """Replace a method by one that measures its time."""
        original = getattr(owner, method)

        def timed(*args, **kwargs):
            with self(name):
                return original(*args, **kwargs)

        setattr(owner, method, timed)


class Busy:
    """Measure how busy the GPU, or the cores that torch may use, are between start and stop, as a share of the time."""

    def start(self) -> None:
        self.started, self.used = now(), time.process_time()
        if ON_GPU:
            query = [
                "nvidia-smi",
                "--query-gpu=utilization.gpu",
                "--format=csv,noheader,nounits",
                "--loop-ms=200",
                "--id=0",
            ]
            self.sampling = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)

    def stop(self) -> float | None:
        seconds = now() - self.started
        if not ON_GPU:
            return (time.process_time() - self.used) / (seconds * torch.get_num_threads())
        self.sampling.terminate()
        samples = [float(line) for line in self.sampling.communicate()[0].splitlines() if line.strip().isdigit()]
        return statistics.mean(samples) / 100 if samples else None


def now() -> float:
    if ON_GPU:
        torch.cuda.synchronize()
    return time.perf_counter()


class SecondEpoch(TrainerCallback):
    """Measure the seconds of the second epoch, without evaluation and checkpoints, and how busy the device was."""

    def __init__(self):
        self.seconds = self.busy = math.nan

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.watch = Busy()
        self.watch.start()

    def on_epoch_end(self, args, state, control, **kwargs):
        self.seconds, self.busy = now() - self.watch.started, self.watch.stop()


def encoder_folder(name: str, folder: Path) -> str:
    """Return the encoder's name, or for ``"bert-base-shape"`` a folder with a BERT base of random weights."""
    if name != "bert-base-shape":
        return name
    if not (folder / "config.json").is_file():
        torch.manual_seed(SEED)
        BertModel(BertConfig()).save_pretrained(folder)
        load_tokenizer("minilm").save_pretrained(folder)  # BERT base has the same vocabulary
    return str(folder)


def with_fine_tune(encoder: str, data: tuple[Corpus, Corpus, Corpus]) -> dict[str, object]:
    config = TrainingConfig(
        encoder=encoder, max_length=MAX_LENGTH, epochs=2, batch_size=BATCH, learning_rate=LEARNING_RATE
    )
    epoch, original = SecondEpoch(), Trainer.__init__

    def with_callback(self, *args, callbacks, **kwargs):
        original(self, *args, callbacks=[*callbacks, epoch], **kwargs)

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(Trainer, "__init__", with_callback):
        fine_tune(*data, loss="bce", config=config, seed=SEED, progress=False, checkpoint_dir=folder)
    return {"seconds": epoch.seconds, "busy": epoch.busy}


def shares_of_fine_tune(encoder: str, data: tuple[Corpus, Corpus, Corpus]) -> dict[str, object]:
    """Return the shares of the training time. Speed is measured separately, because timing parts makes a GPU wait."""
    from afl_helpers.training import fine_tuning

    config = TrainingConfig(
        encoder=encoder, max_length=MAX_LENGTH, epochs=2, batch_size=BATCH, learning_rate=LEARNING_RATE
    )
    stopwatch = Stopwatch()
    stopwatch.watch(fine_tuning._Documents, "__init__", "tokenising")
    stopwatch.watch(Trainer, "evaluate", "evaluation")
    stopwatch.watch(Trainer, "_save_checkpoint", "checkpoints")
    stopwatch.watch(Trainer, "get_batch_samples", "data loading")
    stopwatch.watch(Trainer, "training_step", "forward and backward")
    stopwatch.watch(torch.optim.AdamW, "step", "optimiser")
    stopwatch.watch(Trainer, "_clip_grad_norm", "clipping")
    stopwatch.watch(Trainer, "train", "training")
    loss = build_loss("bce")
    starts: list[float] = []
    loss.register_forward_pre_hook(lambda *_: starts.append(now()))

    def stop(*_):
        stopwatch.seconds["loss, forward"] += now() - starts.pop()

    loss.register_forward_hook(stop)
    with tempfile.TemporaryDirectory() as folder:
        fine_tune(*data, loss=loss, config=config, seed=SEED, progress=False, checkpoint_dir=folder)
    whole = stopwatch.seconds.pop("training") + stopwatch.seconds["tokenising"]
    return {"seconds": whole, "shares": {name: value / whole for name, value in stopwatch.seconds.items()}}


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
    return {"seconds": epoch.seconds, "busy": epoch.busy}


def with_loop(encoder: str, data: tuple[Corpus, Corpus, Corpus], lever: str | None = None) -> dict[str, object]:
    """Train by a hand-written loop. ``lever`` removes one of :data:`LEVERS`, or adds one that the package does not have."""
    device = default_device()
    tokenizer = load_tokenizer(encoder)
    model = load_classifier(encoder, data[0].label_names).to(device).train()
    if lever == "attention in one call":
        model.set_attn_implementation("eager")
    run = model
    if lever == "torch.compile":
        run = torch.compile(model, dynamic=True)
    elif lever == "CUDA graphs":
        run = torch.compile(model, mode="reduce-overhead", dynamic=False)
    torch.set_flush_denormal(lever == "denormal numbers as 0")  # this process runs nothing else
    items = _Items(data[0], tokenizer)
    lengths = [len(ids) for ids in items.ids]
    sampler = EpochSeededLengthSampler(lengths, BATCH, SEED, group=lever != "texts of similar length together")
    fused = lever != "fused AdamW"
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01, fused=fused)
    labels = torch.from_numpy(items.labels)
    bf16 = ON_GPU and lever != "bf16"

    def loaded(batch: list[int]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        inputs, targets = (
            dict(tokenizer.pad({"input_ids": [items.ids[i] for i in batch]}, return_tensors="pt")),
            labels[batch],
        )
        if lever == "CUDA graphs":  # a graph is for one shape
            inputs = {name: nn.functional.pad(x, (0, -x.shape[1] % 64)) for name, x in inputs.items()}
        if lever == "no mask":
            del inputs["attention_mask"]
        if lever == "pinned, prefetched batches" and ON_GPU:
            inputs, targets = {name: x.pin_memory() for name, x in inputs.items()}, targets.pin_memory()
        return {name: x.to(device, non_blocking=True) for name, x in inputs.items()}, targets.to(
            device, non_blocking=True
        )

    flops, n_padded = 0.0, 0
    for epoch in range(2):
        sampler.set_epoch(epoch)
        batches = batches_of(list(sampler), lengths, by_tokens=lever == "batches of equal tokens")
        started = now()
        if lever == "tokenising once":
            items = _Items(data[0], tokenizer)
        for inputs, targets in (
            prefetched(loaded, batches) if lever == "pinned, prefetched batches" else map(loaded, batches)
        ):
            with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
                logits = run(**inputs).logits
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if epoch:
                flops += step_flops(model, *inputs["input_ids"].shape)
                n_padded += inputs["input_ids"].numel()
        seconds = now() - started
    return {"seconds": seconds, "tflops": flops / seconds / 1e12, "padding": 1 - sum(lengths) / n_padded}


def prefetched(loaded: Callable, batches: Iterator[list[int]]) -> Iterator[tuple]:
    """Yield batches; a thread prepares each one while the previous one is trained on."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for batch in batches:
            ready, waiting = waiting, pool.submit(loaded, batch)
            if ready is not None:
                yield ready.result()
        if waiting is not None:
            yield waiting.result()


def batches_of(order: Sequence[int], lengths: Sequence[int], by_tokens: bool) -> Iterator[list[int]]:
    """Yield batches of 16 texts, or of as many tokens as 16 texts of mean length have, from sorted texts in random order."""
    if not by_tokens:
        yield from (list(order[start : start + BATCH]) for start in range(0, len(order), BATCH))
        return
    budget, batches = BATCH * float(np.mean(lengths)), [[]]
    for i in sorted(order, key=lambda i: lengths[i]):
        if batches[-1] and lengths[i] * (len(batches[-1]) + 1) > budget:
            batches.append([])
        batches[-1].append(i)
    yield from (batches[k] for k in np.random.default_rng(SEED).permutation(len(batches)))


#: Lever -> (expected effect, whether the package has it).
LEVERS = {
    "texts of similar length together": ("as many times as fast as there are fewer padded tokens", True),
    "attention in one call": ("a few per cent at 128 tokens, more at 512", True),
    "fused AdamW": ("one pass over the weights: a few per cent of a small encoder", True),
    "tokenising once": ("saves under a hundredth of an epoch", True),
    "batches of equal tokens": (
        "steadier steps, no fewer tokens: nothing; and other batches than the paper's 16",
        False,
    ),
    "torch.compile": ("a few per cent, after a minute of compiling", False),
    "denormal numbers as 0": ("nothing, where no gamma is large", False),
    "allocator that keeps its memory": ("a few per cent: fewer page faults", False),
}
#: Levers without effect or use on a CPU.
GPU_LEVERS = {
    "bf16": ("several times as fast", True),
    "pinned, prefetched batches": ("hides the copy of token ids, which is small", False),
    "no mask": ("some per cent at 512 tokens: lets torch take flash attention; wrong where there is padding", False),
    "CUDA graphs": ("much for tiny steps, little for BERT base", False),
}
KEEPING = {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=4294967296:glibc.malloc.mmap_threshold=4294967296"}


def measured_levers(n_documents: int, repetitions: int) -> list[dict[str, object]]:
    """Measure the loop with and without each lever, in alternation."""

    def seconds(lever: str | None) -> float:
        keeping = lever == "allocator that keeps its memory"
        options = [] if lever is None or keeping else ["--lever", lever]
        return one("tuned loop", "minilm", "leads", 16, n_documents, *options, **(KEEPING if keeping else {}))[
            "seconds"
        ]

    found = []
    for lever, (expected, kept) in (LEVERS | GPU_LEVERS if ON_GPU else LEVERS).items():
        pairs = [(seconds(lever), seconds(None)) for _ in range(repetitions)]
        # Levers that the package has were removed, the others were added.
        ratios = [changed / base if kept else base / changed for changed, base in pairs]
        found.append({"lever": lever, "expected": expected, "ratio": statistics.median(ratios), "kept": kept})
        print(f"{lever:34} {found[-1]['ratio']:.2f}", flush=True)
    rest = {} if ON_GPU else GPU_LEVERS
    return found + [
        {"lever": name, "expected": text, "ratio": None, "kept": kept} for name, (text, kept) in rest.items()
    ]


def padding_shares(n_documents: int) -> dict[str, float]:
    """Return the share of padding among the tokens of an epoch: the most that attention without padding could save."""
    corpus, _, _ = splits(n_documents)
    lengths = [len(ids) for ids in _Items(corpus, load_tokenizer("minilm")).ids]
    shares = {}
    for name, group in (("texts of similar length together", True), ("random order", False)):
        batches = batches_of(
            list(EpochSeededLengthSampler(lengths, BATCH, SEED, group=group)), lengths, by_tokens=False
        )
        padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
        shares[name] = 1 - sum(lengths) / padded
    return shares | {"all to the maximum length": 1 - sum(lengths) / (MAX_LENGTH * len(lengths))}


def same_results(n_documents: int) -> list[dict[str, object]]:
    """Return validation average precision with and without grouping by length, for three seeds."""
    rows = []
    for seed in range(3):
        row = {"seed": seed}
        for group in (True, False):
            config = TrainingConfig(
                encoder="minilm",
                max_length=64,
                epochs=2,
                batch_size=8,
                learning_rate=2e-4,
                start_bias="prior",
                group_by_length=group,
            )
            run = fine_tune(*splits(n_documents), loss="bce", config=config, seed=seed, progress=False)
            value = max(epoch["average_precision_micro"] for epoch in run.history)
            row["average precision, grouped" if group else "average precision, random order"] = value
        rows.append(row)
    return rows


def step_flops(model: nn.Module, n_texts: int, length: int) -> float:
    """Count the floating-point operations of a step: 6 per weight and token, plus attention."""
    config = model.config
    weights = sum(p.numel() for name, p in model.named_parameters() if "embeddings" not in name)
    attention = 12 * config.num_hidden_layers * config.hidden_size * length
    return (6 * weights + attention) * n_texts * length


def product_tflops(size: int = 8192 if ON_GPU else 1536) -> float:
    """Measure a large matrix product in the precision of training, in TFLOP/s."""
    kind = torch.bfloat16 if ON_GPU else torch.float32
    a, b = (torch.randn(size, size, dtype=kind, device=default_device()) for _ in range(2))
    times = []
    for _ in range(6):
        started = now()
        a @ b
        times.append(now() - started)
    return 2 * size**3 / min(times) / 1e12


def peak_tflops() -> int | None:
    """Return the peak that the maker of this GPU states, or None if it is not in the table."""
    device = torch.cuda.get_device_name() if ON_GPU else ""
    return next((value for name, value in PEAK_TFLOPS.items() if name in device.replace("-", " ").split()), None)


FUNCTIONS: dict[str, Callable] = {
    "fine_tune": with_fine_tune,
    "shares of fine_tune": shares_of_fine_tune,
    "plain Trainer": with_trainer,
    "Trainer, padded": lambda *args: with_trainer(*args, padded=True),
    "tuned loop": with_loop,
}


def measure(way: str, encoder: str, texts: str, n_documents: int, lever: str | None) -> dict[str, object]:
    """Run one way in this process and return documents per second and peak memory."""
    transformers.utils.logging.set_verbosity_error()
    found = FUNCTIONS[way](encoder, splits(n_documents, texts), **({"lever": lever} if lever else {}))
    peak = torch.cuda.max_memory_allocated() if ON_GPU else memory("VmHWM")
    rate = n_documents / found["seconds"]
    return found | {"n_documents": n_documents, "documents_per_second": rate, "memory_gb": peak / 1e9}


def embedding_and_probe(n_documents: int) -> dict[str, float]:
    """Compare embedding with the bare forward pass of the same batches, in texts per second."""
    corpus, _, _ = splits(n_documents)
    texts, device = sorted(set(corpus.texts)), default_device()
    tokenizer, encoder = load_tokenizer("minilm"), load_encoder("minilm").to(device).eval()
    ids = sorted((tokenizer(texts, truncation=True, max_length=128)["input_ids"]), key=len, reverse=True)
    batches, start = [], 0
    while start < len(ids):
        size = max(1, 32 * 128 // len(ids[start]))
        padded = tokenizer.pad({"input_ids": ids[start : start + size]}, return_tensors="pt")
        batches.append(dict(padded.to(device)))
        start += size
    with torch.inference_mode():
        mean_pool(encoder, **batches[-1])
        started = now()
        for batch in batches:
            mean_pool(encoder, **batch)
        bare = now() - started
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"AFL_CACHE_DIR": folder}):
        started = now()
        embed(texts, progress=False)
        cached = now() - started
    return {"texts": len(texts), "bare_forward_per_second": len(texts) / bare, "embed_per_second": len(texts) / cached}


def probe_seconds() -> dict[str, float]:
    """Measure a probe with all genres and a grid of 50 heads, after the texts are embedded."""
    corpus = load_corpus("cmu-leads").select_labels(min_count=10)
    data = corpus.split(0.8, 0.1, 0.1, seed=0)
    probe(*data, loss="bce", config=ProbeConfig(epochs=1), progress=False)  # embeds
    started = now()
    run = probe(*data, loss="afl", progress=False)
    seconds = now() - started
    config = ProbeConfig(epochs=5)
    grid = []
    for n_heads in (1, 50):
        started = now()
        train_heads(*data, [Head("bce", config) for _ in range(n_heads)], progress=False)
        grid.append(now() - started)
    return {
        "n_labels": corpus.n_labels,
        "n_documents": len(data[0]),
        "epochs": len(run.history),
        "seconds": seconds,
        "one_of_grid_seconds": grid[0],
        "grid_seconds": grid[1],
    }


def report(found: dict[str, object]) -> None:
    for case, ways in found["encoders"].items():
        print(f"\n{case}; at most {MAX_LENGTH} tokens, {ways['fine_tune']['n_documents']:,} documents")
        print(f"{'':18}{'documents/s':>12}{'fine_tune is':>14}{'memory GB':>11}")
        for way, row in ways.items():
            print(f"{way:18}{row['documents_per_second']:>12.1f}{row['fine_tune_is']:>13.2f}x{row['memory_gb']:>11.2f}")
        print(
            "where fine_tune's time goes: " + ", ".join(f"{n} {v:.1%}" for n, v in ways["fine_tune"]["shares"].items())
        )
        reached = ways["tuned loop"]["tflops"] * ways["tuned loop"]["fine_tune_is"]
        print(
            f"arithmetic: {reached:.3f} TFLOP/s, {reached / found['product_tflops']:.0%} of a large matrix product's {found['product_tflops']:.3f}"
        )
        if found["peak_tflops"]:
            print(f"model FLOPs utilisation: {reached / found['peak_tflops']:.1%} of {found['peak_tflops']} TFLOP/s")
        if ways["fine_tune"]["busy"] is not None:
            print(f"{'GPU' if ON_GPU else 'cores'} busy {ways['fine_tune']['busy']:.0%} of the time")
    if "longer_epochs" in found:
        row = found["longer_epochs"]
        print(
            f"\n{row['case']}, {row['n_documents']:,} documents: "
            + ", ".join(f"{n} {v:.1%}" for n, v in row["shares"].items())
        )
    if "embedding" in found:
        row = found["embedding"]
        share = row["embed_per_second"] / row["bare_forward_per_second"]
        print(
            f"\nembedding: {row['embed_per_second']:.0f} texts/s, {share:.0%} of the bare forward pass; tokenising and the cache included"
        )
    if "probe" in found:
        row = found["probe"]
        print(
            f"a head for {row['n_labels']} labels on {row['n_documents']:,} documents: {row['seconds']:.1f} s, {row['epochs']} epochs"
        )


def one(
    way: str, encoder: str, texts: str, batch: int, n_documents: int, *options: str, **environment: str
) -> dict[str, object]:
    """Run one way in a process of its own."""
    return in_a_process(
        __file__, "--one", way, encoder, texts, batch, "--documents", n_documents, *options, **environment
    )


def measured_ways(
    cases: Sequence[tuple[str, str, int]], n_documents: int, repetitions: int
) -> dict[str, dict[str, object]]:
    """Measure the four ways of each case in alternation, so that other load affects all alike; keep the median run."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for encoder, texts, batch in cases:
            rows = defaultdict(list)
            n = max(n_documents, 100 * batch) if ON_GPU else n_documents
            name = encoder_folder(encoder, Path(folder) / "bert-base")
            for _ in range(repetitions):
                for way in WAYS:
                    rows[way].append(one(way, name, texts, batch, n))
            middle = {way: sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2] for way, runs in rows.items()}
            ratios = {
                way: statistics.median(run["seconds"] / own["seconds"] for run, own in zip(runs, rows["fine_tune"]))
                for way, runs in rows.items()
            }
            middle["fine_tune"]["shares"] = one("shares of fine_tune", name, texts, batch, n)["shares"]
            found[f"{encoder}, {texts}, batch {batch}"] = {
                way: row | {"fine_tune_is": ratios[way]} for way, row in middle.items()
            }
    return found


def longer_epochs(n_documents: int) -> dict[str, object]:
    """Measure the shares of `fine_tune` with MiniLM on more documents, where checkpoints weigh less."""
    shares = one("shares of fine_tune", "minilm", "leads", 16, n_documents)["shares"]
    case = "minilm, leads, batch 16"
    return {"case": case, "n_documents": n_documents, "shares": shares, "environment": describe_environment()}


def main() -> None:
    global BATCH
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=960)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument(
        "--ways-only", action="store_true", help="measure the four ways again and keep the rest of the file"
    )
    parser.add_argument(
        "--case", nargs=3, metavar=("ENCODER", "TEXTS", "BATCH"), help="measure and print one case; write nothing"
    )
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--lever", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        way, encoder, texts, batch = arguments.one
        BATCH = int(batch)
        print(json.dumps(measure(way, encoder, texts, arguments.documents, arguments.lever)))
        return
    cases = CASES if arguments.case is None else [(arguments.case[0], arguments.case[1], int(arguments.case[2]))]
    found: dict[str, object] = {
        "environment": describe_environment(),
        "n_documents": arguments.documents,
        "repetitions": arguments.repetitions,
        "max_length": MAX_LENGTH,
        "product_tflops": product_tflops(),
        "peak_tflops": peak_tflops(),
        "encoders": measured_ways(cases, arguments.documents, arguments.repetitions),
    }
    if arguments.case:
        report(found)
        return
    if arguments.ways_only:
        found = json.loads(RESULT.read_text()) | found
    else:
        found["longer_epochs"] = longer_epochs(4 * arguments.documents)
        found["embedding"] = embedding_and_probe(2 * arguments.documents)
        found["probe"] = probe_seconds()
        found["same_results"] = same_results(arguments.documents)
        found["padding"] = padding_shares(arguments.documents)
        found["n_documents_of_levers"] = arguments.documents if ON_GPU else arguments.documents // 8
        found["levers"] = measured_levers(found["n_documents_of_levers"], arguments.repetitions)
    report(found)
    write_json(RESULT, found)


if __name__ == "__main__":
    main()
