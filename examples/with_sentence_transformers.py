"""Adaptive focal loss for a head on sentence-transformers' embeddings."""

import torch
from sentence_transformers import SentenceTransformer

from afl_helpers.data import load_corpus
from afl_helpers.evaluation import evaluate_tuned
from afl_helpers.losses import build_loss
from afl_helpers.training.encoders import find_encoder

MODEL, _ = find_encoder("minilm")
corpus = load_corpus("toy").select_labels(top=4).sample(300)
splits = train, validation, test = corpus.split(0.6, 0.2, 0.2, seed=0)
counts = {"label_counts": train.label_counts, "n_documents": len(train)}

torch.manual_seed(0)
encoder = SentenceTransformer(MODEL)
embeddings = [encoder.encode(split.texts) for split in splits]
inputs = [torch.tensor(rows, device=encoder.device) for rows in embeddings]
targets = torch.from_numpy(train.dense_labels).float().to(encoder.device)
head = torch.nn.Linear(inputs[0].shape[1], corpus.n_labels)
head.to(encoder.device)
loss = build_loss("afl", **counts).to(encoder.device)
optimizer = torch.optim.AdamW(head.parameters(), lr=0.03)
for _ in range(100):  # a head is small: each step sees all documents
    loss(head(inputs[0]), targets).backward()
    optimizer.step()
    optimizer.zero_grad()

with torch.inference_mode():
    scores = [head(rows).sigmoid() for rows in inputs[1:]]
metrics = evaluate_tuned(
    validation=(validation.labels, scores[0]),
    test=(test.labels, scores[1]), **counts)
for rule in ("at_0.5", "tuned_proportional"):
    print(f"{rule}: macro F1 {metrics[rule]['f1_macro']:.3f}")
