"""Adaptive focal loss in transformers' Trainer."""

from scipy.special import expit
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
    set_seed,
)

from afl_helpers.data import load_corpus
from afl_helpers.evaluation import evaluate_tuned
from afl_helpers.losses import build_loss
from afl_helpers.training.encoders import find_encoder

MODEL, _ = find_encoder("minilm")
corpus = load_corpus("toy").select_labels(top=4).sample(300)
train, validation, test = corpus.split(0.6, 0.2, 0.2, seed=0)
counts = {"label_counts": train.label_counts, "n_documents": len(train)}

set_seed(0)
tokenizer = AutoTokenizer.from_pretrained(MODEL)
data = [
    split.to_dataset().map(
        lambda rows: tokenizer(rows["text"], truncation=True, max_length=32),
        batched=True)
    for split in (train, validation, test)
]
model = AutoModelForSequenceClassification.from_pretrained(
    MODEL, num_labels=corpus.n_labels,
    problem_type="multi_label_classification")
loss = build_loss("afl", **counts)
trainer = Trainer(
    model,
    TrainingArguments("trainer-output", num_train_epochs=1,
                      learning_rate=3e-4, save_strategy="no",
                      report_to="none"),
    train_dataset=data[0],
    processing_class=tokenizer,
    compute_loss_func=loss.for_trainer(),  # the line that changes the loss
)
trainer.train()

scores = [expit(trainer.predict(rows).predictions) for rows in data[1:]]
metrics = evaluate_tuned(
    validation=(validation.labels, scores[0]),
    test=(test.labels, scores[1]), **counts)
for rule in ("at_0.5", "tuned_proportional"):
    print(f"{rule}: macro F1 {metrics[rule]['f1_macro']:.3f}")
