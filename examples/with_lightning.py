"""Adaptive focal loss in a LightningModule."""

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from afl_helpers.data import load_corpus
from afl_helpers.evaluation import evaluate_tuned
from afl_helpers.losses import build_loss
from afl_helpers.training.encoders import find_encoder

MODEL, _ = find_encoder("minilm")


class Classifier(lightning.LightningModule):
    def __init__(self, n_labels, loss):
        super().__init__()
        encoder = AutoModelForSequenceClassification.from_pretrained(
            MODEL, num_labels=n_labels)
        self.encoder = encoder.train()  # it is loaded without dropout
        self.loss = loss  # a module, so Lightning moves it to the device

    def training_step(self, batch):
        ids, mask, targets = batch
        return self.loss(self.encoder(ids, attention_mask=mask).logits, targets)

    def predict_step(self, batch):
        ids, mask, _ = batch
        return self.encoder(ids, attention_mask=mask).logits.sigmoid()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-4)


corpus = load_corpus("toy").select_labels(top=4).sample(300)
splits = train, validation, test = corpus.split(0.6, 0.2, 0.2, seed=0)
counts = {"label_counts": train.label_counts, "n_documents": len(train)}

lightning.seed_everything(0)
tokenizer = AutoTokenizer.from_pretrained(MODEL)
loaders = []
for split in splits:
    rows = tokenizer(split.texts, padding=True, truncation=True,
                     max_length=32, return_tensors="pt")
    targets = torch.from_numpy(split.dense_labels).float()
    data = TensorDataset(rows["input_ids"], rows["attention_mask"], targets)
    loaders.append(DataLoader(data, batch_size=8, shuffle=split is train))

model = Classifier(corpus.n_labels, build_loss("afl", **counts))
trainer = lightning.Trainer(
    max_epochs=1, gradient_clip_val=1.0, logger=False,
    enable_checkpointing=False, enable_progress_bar=False)
trainer.fit(model, loaders[0])
scores = [torch.cat(trainer.predict(model, rows)) for rows in loaders[1:]]
metrics = evaluate_tuned(
    validation=(validation.labels, scores[0]),
    test=(test.labels, scores[1]), **counts)
for rule in ("at_0.5", "tuned_proportional"):
    print(f"{rule}: macro F1 {metrics[rule]['f1_macro']:.3f}")
