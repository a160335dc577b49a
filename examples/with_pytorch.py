"""Adaptive focal loss in a training loop of plain PyTorch."""

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from afl_helpers.data import load_corpus
from afl_helpers.evaluation import evaluate_tuned
from afl_helpers.losses import build_loss
from afl_helpers.training.encoders import find_encoder

MODEL, _ = find_encoder("minilm")
device = "cuda" if torch.cuda.is_available() else "cpu"
corpus = load_corpus("toy").select_labels(top=4).sample(300)
train, validation, test = corpus.split(0.6, 0.2, 0.2, seed=0)
counts = {"label_counts": train.label_counts, "n_documents": len(train)}

torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained(MODEL)
inputs = [
    tokenizer(split.texts, padding=True, truncation=True, max_length=32,
              return_tensors="pt").to(device)
    for split in (train, validation, test)
]
targets = torch.from_numpy(train.dense_labels).float().to(device)
model = AutoModelForSequenceClassification.from_pretrained(
    MODEL, num_labels=corpus.n_labels).to(device)
loss = build_loss("afl", **counts).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)

model.train()
for batch in torch.randperm(len(train)).split(8):
    rows = {name: values[batch] for name, values in inputs[0].items()}
    loss(model(**rows).logits, targets[batch]).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()

model.eval()
with torch.inference_mode():
    scores = [model(**rows).logits.sigmoid() for rows in inputs[1:]]
metrics = evaluate_tuned(
    validation=(validation.labels, scores[0]),
    test=(test.labels, scores[1]), **counts)
for rule in ("at_0.5", "tuned_proportional"):
    print(f"{rule}: macro F1 {metrics[rule]['f1_macro']:.3f}")
