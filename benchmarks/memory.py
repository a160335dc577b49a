"""Memory that fine-tuning BERT base takes, and which settings fit into how much of it.

    python benchmarks/memory.py

*Counted*: a training step of BERT base on 512 tokens with tensors that have a shape and no content, so that bf16 can be counted
where there is no GPU. Attention has no dropout there, because the CPU's form of it would keep the probabilities, which a GPU's does
not. A GPU keeps a little more in float32 than is counted for bf16; what an allocator cannot use, and what a GPU's libraries take (some
0.5 GB), comes on top. *Measured* is the same step for real.

*Tried*: `fine_tune` with its memory capped, on a GPU by torch, on a CPU by the system in float32; with the paper's 16 documents a
step, then with fewer at a time. On a GPU the file is memory-gpu.json.
"""

import argparse
import json
import resource
import tempfile
import warnings
from pathlib import Path

import torch
from common.process import in_a_process, memory
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from transformers import BertConfig, BertForSequenceClassification, BertModel

from afl_helpers.data import load_corpus
from afl_helpers.errors import TrainingError
from afl_helpers.files import write_json
from afl_helpers.results import describe_environment
from afl_helpers.training import fine_tune
from afl_helpers.training.config import TrainingConfig
from afl_helpers.training.encoders import load_tokenizer, quiet

ON_GPU = torch.cuda.is_available()
LENGTH, N_LABELS, DOCUMENTS_A_STEP = 512, 363, 16
COUNTED, MEASURED = (1, 2, 4, 8, 16, 32, 64, 128), (1, 4, 16)
CAPS, AT_A_TIME = ((8, 16, 24) if ON_GPU else (4, 8, 16)), (16, 8, 4, 2, 1)
GB = 1e9
RESULT = (
    Path(__file__).resolve().parent.parent / "results" / "benchmarks" / ("memory-gpu.json" if ON_GPU else "memory.json")
)
# Large blocks are given back to the system at once; else the process keeps more than it uses.
GIVING_BACK = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1048576"}


def bert(on_gpu: bool, **settings: object) -> BertConfig:
    return BertConfig(attention_probs_dropout_prob=0.1 if on_gpu else 0.0, **settings)


class Step:
    """Two steps of training, so that the second has the optimiser's state beside it."""

    def __init__(self, batch: int, device: str = "cpu"):
        with torch.device(device):
            self.model = BertForSequenceClassification(bert(device == "cuda", num_labels=N_LABELS)).train()
            self.ids = torch.zeros(batch, LENGTH, dtype=torch.long)
            self.targets = torch.zeros(batch, N_LABELS)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)

    def run(self, bf16: bool) -> None:
        with torch.autocast(self.ids.device.type, torch.bfloat16, enabled=bf16):
            logits = self.model(input_ids=self.ids, attention_mask=torch.ones_like(self.ids)).logits
        nn.functional.binary_cross_entropy_with_logits(logits.float(), self.targets).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()


def counted_gb(batch: int, bf16: bool) -> float:
    """The most that weights, gradients, optimiser and activations take at any moment of a step."""
    with FakeTensorMode():
        step, tracker = Step(batch), MemTracker()
        tracker.track_external(step.model, step.optimizer, step.ids, step.targets)
        with tracker:
            for _ in range(2):
                step.run(bf16)
                tracker.reset_mod_stats()
        return sum(device["Total"] for device in tracker.get_tracker_snapshot("peak").values()) / GB


def measured_gb(batch: int) -> float:
    """The same for real, in this process; float32 on a CPU, bf16 on a GPU."""
    before = 0 if ON_GPU else memory("VmHWM")
    step = Step(batch, "cuda" if ON_GPU else "cpu")
    for _ in range(2):
        step.run(bf16=ON_GPU)
    peak = torch.cuda.max_memory_reserved() if ON_GPU else memory("VmHWM")
    return (peak - before) / GB


def cap_memory(gigabytes: float) -> None:
    """Allow this process so much beyond what it has."""
    if ON_GPU:
        torch.cuda.set_per_process_memory_fraction(gigabytes * GB / torch.cuda.get_device_properties(0).total_memory)
        return
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory("VmData") + gigabytes * GB), resource.RLIM_INFINITY))


def tried(gigabytes: float, at_a_time: int) -> str | None:
    """Fine-tune with a cap; the error's sentence, or None where it went through."""
    corpus = load_corpus("toy").select_labels(top=4)
    corpus.texts[:] = [f"{text} " * 40 for text in corpus.texts]  # longer than any maximum
    n = 2 * DOCUMENTS_A_STEP
    parts = [corpus.select_documents(range(start, stop)) for start, stop in ((0, n), (n, n + 8), (n + 8, n + 16))]
    with tempfile.TemporaryDirectory() as folder:
        with quiet():
            BertModel(bert(ON_GPU)).save_pretrained(folder)
        load_tokenizer("minilm").save_pretrained(folder)  # the same word pieces
        config = TrainingConfig(
            encoder=folder,
            max_length=LENGTH,
            epochs=1,
            batch_size=at_a_time,
            accumulation_steps=DOCUMENTS_A_STEP // at_a_time,
        )
        cap_memory(gigabytes)
        try:
            fine_tune(*parts, loss="afl", config=config, progress=False)
        except TrainingError as error:
            return str(error)
    return None


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--one", nargs="+", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        numbers = [int(x) if x == int(x) else x for x in arguments.one]
        print(json.dumps(measured_gb(*numbers) if len(numbers) == 1 else tried(*numbers)))
        return
    found = {"environment": describe_environment(), "length": LENGTH}
    print(f"{'documents':>10}{'float32':>10}{'bf16':>8}   GB, counted")
    found["counted_gb"] = []
    for batch in COUNTED:
        row = {"documents": batch, "float32": counted_gb(batch, False), "bf16": counted_gb(batch, True)}
        found["counted_gb"].append(row)
        print(f"{batch:>10}{row['float32']:>10.2f}{row['bf16']:>8.2f}", flush=True)
    found["measured_gb"] = {}
    precision = "bf16" if ON_GPU else "float32"
    for batch in MEASURED:
        count = next(row[precision] for row in found["counted_gb"] if row["documents"] == batch)
        found["measured_gb"][batch] = in_a_process(__file__, "--one", batch, **GIVING_BACK)
        print(
            f"{batch} documents, {precision}: {found['measured_gb'][batch]:.2f} GB measured, {found['measured_gb'][batch] / count:.2f} of the count"
        )
    found["tried"] = []
    card = torch.cuda.get_device_properties(0).total_memory / GB if ON_GPU else float("inf")
    for cap in (cap for cap in CAPS if cap < card):
        for at_a_time in AT_A_TIME:
            error = in_a_process(__file__, "--one", cap, at_a_time, **GIVING_BACK)
            found["tried"].append({"cap_gb": cap, "precision": precision, "batch_size": at_a_time, "error": error})
            print(f"{cap} GB, {at_a_time} at a time: {error or 'fits'}", flush=True)
            write_json(RESULT, found)
            if error is None:
                break


if __name__ == "__main__":
    main()
