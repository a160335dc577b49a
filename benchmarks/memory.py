"""Memory that fine-tuning BERT base needs, and which batch sizes fit into a given memory.

    python benchmarks/memory.py

*Counted*: a training step of BERT base on 512 tokens, with tensors that have a shape but no content, so that bf16 can be
counted without a GPU. Attention has no dropout in this count, because the CPU's implementation would keep the
probabilities and a GPU's does not. On a GPU with bf16, a little more is kept in float32 than is counted; memory that the
allocator cannot use and the GPU's libraries (about 0.5 GB) come on top.

*Measured*: the same step with real tensors.

*Tried*: `fine_tune` under a memory limit, set by torch on a GPU and by the system on a CPU (in float32); first with the
paper's 16 documents per step at once, then with fewer at a time and accumulated gradients.

The result file is memory.json, or memory-gpu.json on a GPU.
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
LENGTH, N_LABELS, DOCUMENTS_PER_STEP = 512, 363, 16
COUNTED, MEASURED = (1, 2, 4, 8, 16, 32, 64, 128), (1, 4, 16)
CAPS, AT_A_TIME = ((8, 16, 24) if ON_GPU else (4, 8, 16)), (16, 8, 4, 2, 1)
GB = 1e9
RESULT = (
    Path(__file__).resolve().parent.parent / "results" / "benchmarks" / ("memory-gpu.json" if ON_GPU else "memory.json")
)
# Return large blocks to the system at once; otherwise the process keeps more than it uses.
GIVING_BACK = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1048576"}


def bert(on_gpu: bool, **settings: object) -> BertConfig:
    return BertConfig(attention_probs_dropout_prob=0.1 if on_gpu else 0.0, **settings)


class Step:
    """Two training steps: during the second, the optimizer's state exists too."""

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
    """Return the peak memory of weights, gradients, optimizer and activations in a step, in GB."""
    with FakeTensorMode():
        step, tracker = Step(batch), MemTracker()
        tracker.track_external(step.model, step.optimizer, step.ids, step.targets)
        with tracker:
            for _ in range(2):
                step.run(bf16)
                tracker.reset_mod_stats()
        return sum(device["Total"] for device in tracker.get_tracker_snapshot("peak").values()) / GB


def measured_gb(batch: int) -> float:
    """Return the measured peak of this process in GB; float32 on a CPU, bf16 on a GPU."""
    before = 0 if ON_GPU else memory("VmHWM")
    step = Step(batch, "cuda" if ON_GPU else "cpu")
    for _ in range(2):
        step.run(bf16=ON_GPU)
    peak = torch.cuda.max_memory_reserved() if ON_GPU else memory("VmHWM")
    return (peak - before) / GB


def cap_memory(gigabytes: float) -> None:
    """Limit this process to this much memory beyond what it already uses."""
    if ON_GPU:
        torch.cuda.set_per_process_memory_fraction(gigabytes * GB / torch.cuda.get_device_properties(0).total_memory)
        return
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory("VmData") + gigabytes * GB), resource.RLIM_INFINITY))


def tried(gigabytes: float, at_a_time: int) -> str | None:
    """Fine-tune under a limit and return the error message, or None if it fits."""
    corpus = load_corpus("toy").select_labels(top=4)
    corpus.texts[:] = [f"{text} " * 40 for text in corpus.texts]  # longer than the maximum length
    n = 2 * DOCUMENTS_PER_STEP
    splits = [corpus.select_documents(range(start, stop)) for start, stop in ((0, n), (n, n + 8), (n + 8, n + 16))]
    with tempfile.TemporaryDirectory() as folder:
        with quiet():
            BertModel(bert(ON_GPU)).save_pretrained(folder)
        load_tokenizer("minilm").save_pretrained(folder)  # BERT base has the same vocabulary
        config = TrainingConfig(
            encoder=folder,
            max_length=LENGTH,
            epochs=1,
            batch_size=at_a_time,
            accumulation_steps=DOCUMENTS_PER_STEP // at_a_time,
        )
        cap_memory(gigabytes)
        try:
            fine_tune(*splits, loss="afl", config=config, progress=False)
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
