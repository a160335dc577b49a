"""Adaptive focal loss in a loop of your own, on any number of devices."""

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader, TensorDataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from afl_helpers.data import load_corpus
from afl_helpers.evaluation import evaluate_tuned
from afl_helpers.losses import build_loss
from afl_helpers.training.encoders import find_encoder

MODEL, _ = find_encoder("minilm")
corpus = load_corpus("toy").select_labels(top=4).sample(300)
splits = train, validation, test = corpus.split(0.6, 0.2, 0.2, seed=0)
counts = {"label_counts": train.label_counts, "n_documents": len(train)}

set_seed(0)
accelerator = Accelerator(gradient_accumulation_steps=2)
tokenizer = AutoTokenizer.from_pretrained(MODEL)
loaders = []
for split in splits:
    rows = tokenizer(split.texts, padding=True, truncation=True,
                     max_length=32, return_tensors="pt")
    targets = torch.from_numpy(split.dense_labels).float()
    data = TensorDataset(rows["input_ids"], rows["attention_mask"], targets)
    loaders.append(DataLoader(data, batch_size=4, shuffle=split is train))
model = AutoModelForSequenceClassification.from_pretrained(
    MODEL, num_labels=corpus.n_labels)
loss = build_loss("afl", **counts).to(accelerator.device)
model, optimizer, *loaders = accelerator.prepare(
    model, torch.optim.AdamW(model.parameters(), lr=3e-4), *loaders)

model.train()
for ids, mask, targets in loaders[0]:
    with accelerator.accumulate(model):
        value = loss(model(ids, attention_mask=mask).logits, targets)
        accelerator.backward(value)  # divides by the accumulation steps
        if accelerator.sync_gradients:
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

model.eval()
scores = []
for loader in loaders[1:]:
    with torch.inference_mode():
        logits = [model(ids, attention_mask=mask).logits
                  for ids, mask, _ in loader]
    parts = [accelerator.gather_for_metrics(part) for part in logits]
    scores.append(torch.cat(parts).sigmoid())
metrics = evaluate_tuned(
    validation=(validation.labels, scores[0]),
    test=(test.labels, scores[1]), **counts)
for rule in ("at_0.5", "tuned_proportional"):
    accelerator.print(f"{rule}: macro F1 {metrics[rule]['f1_macro']:.3f}")
