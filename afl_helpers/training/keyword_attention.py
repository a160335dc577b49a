"""More attention to the keywords of the labels, and a student of three layers that learns from the tuned encoder.

After Jain et al., 2025 ([1] of the paper), who find the keywords of each class in e-mails by named entities, let BERT attend to
them, and distil. Their abstract alone was reachable, so all of this is our construction: keywords are tokens that a label's
documents use more than others, and attention is their weight in the mean over the tokens.
"""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from afl_helpers.advice import DEFAULT_LOSS
from afl_helpers.data import Corpus
from afl_helpers.errors import UsageError
from afl_helpers.losses import MultiLabelLoss
from afl_helpers.training.assemble import check_splits, finish, resolve_loss
from afl_helpers.training.baselines import Baseline
from afl_helpers.training.config import TrainingConfig, check_seed
from afl_helpers.training.distillation import Teacher
from afl_helpers.training.embedding import check_length, forward
from afl_helpers.training.encoders import load_encoder, load_tokenizer
from afl_helpers.training.initial_bias import start_logits
from afl_helpers.training.run import Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from transformers.modeling_outputs import SequenceClassifierOutput

    from afl_helpers.training.fine_tuning import Fitted


@dataclass(frozen=True, kw_only=True)
class KeywordDistillationConfig(TrainingConfig):
    """Configure keyword attention with distillation; the other fields hold for teacher and student alike.

    Fields that are not listed are those of :class:`~afl_helpers.training.TrainingConfig`.

    Args:
        keyword_weight: a keyword weighs 1 plus this in the mean over the tokens; 0 makes it the plain mean.
        n_keywords: keywords of each label.
        student_layers: layers of the encoder that the student starts from, evenly spaced: of six, three are 0, 2 and 4.
        distillation_weight, temperature: see :class:`~afl_helpers.training.distillation.DistillationHook`. With the
            weight 0 the student learns from the labels alone, and no teacher is trained.
    """

    keyword_weight: float = 1.0
    n_keywords: int = 20
    student_layers: int = 3
    distillation_weight: float = 0.5
    temperature: float = 2.0

    _ranges = TrainingConfig._ranges | {
        "keyword_weight": (0.0, 1000.0),
        "n_keywords": (1, 100_000),
        "student_layers": (1, 1000),
        "distillation_weight": (0.0, 1.0),
        "temperature": (0.01, 100.0),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lora_rank is not None:
            raise UsageError(f"lora_rank is {self.lora_rank}, but distillation trains all weights; leave lora_rank out")
        if self.mixup is not None:
            raise UsageError(f"mixup is {self.mixup!r}, but a teacher speaks of whole documents; leave mixup out")


class KeywordClassifier(nn.Module):
    """An encoder, a mean over its tokens in which keywords weigh more, dropout and a linear layer.

    Args:
        encoder: of the kind of BERT.
        is_keyword: (n_tokens,), True for the keywords among the tokens of the vocabulary.
        keyword_weight: see :class:`KeywordDistillationConfig`.
    """

    token_weights: Tensor

    def __init__(
        self, encoder: "PreTrainedModel", n_labels: int, is_keyword: NDArray[np.bool], keyword_weight: float
    ) -> None:
        super().__init__()
        encoder.pooler = None  # type: ignore[assignment]  # the mean stands in its place; torch lets a module be None
        self.encoder, self.config = encoder, encoder.config
        self.register_buffer("token_weights", 1 + keyword_weight * torch.from_numpy(is_keyword).float())
        self.dropout = nn.Dropout(getattr(encoder.config, "hidden_dropout_prob", 0.0))
        self.head = nn.Linear(encoder.config.hidden_size, n_labels)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> "SequenceClassifierOutput":
        """Return the logits of the labels for token ids and their mask, both (batch, length)."""
        from transformers import modeling_outputs

        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = (attention_mask * self.token_weights[input_ids]).unsqueeze(-1)
        pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
        return modeling_outputs.SequenceClassifierOutput(logits=self.head(self.dropout(pooled)))


def keyword_distillation(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str | MultiLabelLoss = DEFAULT_LOSS,
    config: KeywordDistillationConfig | None = None,
    seed: int = 0,
    *,
    loss_params: Mapping[str, object] | None = None,
    progress: bool = True,
) -> Run:
    """Fine-tune an encoder with keyword attention, distil it into a student of fewer layers, and return the student's run.

    Keywords come from the training documents, and the best epochs of both models from validation. Other arguments and errors
    are those of :func:`~afl_helpers.training.fine_tune`. Each row of the history also has the best validation ``select_by`` of
    the teacher, where there is one. The run cannot be saved.

    Raises:
        UsageError: the encoder has fewer layers than the student, or no list of layers.

    Example:
        >>> from afl_helpers.data import load_corpus
        >>> from afl_helpers.training.keyword_attention import KeywordDistillationConfig, keyword_distillation
        >>> splits = load_corpus("toy").select_labels(top=3).select_documents(range(80)).split(0.6, 0.2, 0.2)
        >>> config = KeywordDistillationConfig(encoder="tiny", max_length=16, epochs=1, student_layers=1)
        >>> keyword_distillation(*splits, config=config, progress=False).scores["test"].shape[1]
        3
    """
    started = time.perf_counter()
    # Here: the studies that are read know this method by name, and need no Trainer.
    from afl_helpers.training.fine_tuning import fit
    from afl_helpers.training.trainer import check_trainer

    check_trainer()
    config = config or KeywordDistillationConfig()
    if not isinstance(config, KeywordDistillationConfig):
        raise UsageError(f"config is a {type(config).__name__}; pass a KeywordDistillationConfig")
    check_splits(train, validation, test)
    check_seed(seed)
    keep_layers(
        load_encoder(config.encoder), config.student_layers, config.encoder
    )  # an error before hours of training
    tokenizer = load_tokenizer(config.encoder)
    build = keyword_model(config, train, tokenizer)
    module, description = resolve_loss(loss, loss_params, train)

    def tune(own: TrainingConfig, n_layers: int | None, teacher: Teacher | None = None) -> "Fitted":
        own_module = module if n_layers else copy.deepcopy(module)  # a loss with a state starts anew for the student
        return fit(
            lambda: build(own_module, n_layers),
            tokenizer,
            (train, validation),
            own_module,
            description,
            own,
            seed,
            teacher=teacher,
            progress=progress,
        )

    teacher, of_teacher = None, {}
    if config.distillation_weight > 0:
        large = tune(replace(config, logit_adjustment=0.0), None)  # the student is adjusted, once
        logits = forward(large.model, tokenizer, train.texts, config.max_length).numpy()
        teacher = Teacher(logits, config.distillation_weight, config.temperature)
        of_teacher = {
            f"teacher_{name}": value
            for name, value in large.history[large.best_epoch - 1].items()
            if name == config.select_by
        }
    student = tune(config, config.student_layers, teacher)

    def scorer(texts: Sequence[str]) -> NDArray[np.float64]:
        return torch.sigmoid(forward(student.model, tokenizer, texts, config.max_length).double()).numpy()

    predictor = Baseline(train.label_names, {}, scorer)
    return finish(
        "keyword_distillation",
        (train, validation, test),
        predictor,
        {"validation": predictor.predict_scores(validation.texts), "test": predictor.predict_scores(test.texts)},
        started,
        loss_module=module,
        loss=description,
        config=config,
        seed=seed,
        history=[row | of_teacher for row in student.history],
        best_epoch=student.best_epoch,
    )


def keyword_model(
    config: KeywordDistillationConfig, train: Corpus, tokenizer: "PreTrainedTokenizerBase"
) -> Callable[[MultiLabelLoss, int | None], KeywordClassifier]:
    """Return the function that builds a model, for a loss and a number of layers (None: all), with the keywords of ``train``."""
    ids = tokenizer(train.texts, truncation=True, max_length=config.max_length)["input_ids"]
    found = label_keywords(ids, train.dense_labels, len(tokenizer), config.n_keywords, tokenizer.all_special_ids)
    is_keyword = np.zeros(len(tokenizer), dtype=bool)
    is_keyword[np.concatenate(found)] = True

    def build(loss: MultiLabelLoss, n_layers: int | None) -> KeywordClassifier:
        encoder = load_encoder(config.encoder).train()
        check_length(config.max_length, encoder)
        if n_layers is not None:
            keep_layers(encoder, n_layers, config.encoder)
        model = KeywordClassifier(encoder, train.n_labels, is_keyword, config.keyword_weight)
        with torch.no_grad():
            model.head.bias.copy_(start_logits(config.start_bias, loss, train.label_counts, len(train)))
        return model

    return build


def label_keywords(
    ids: Sequence[Sequence[int]],
    labels: NDArray[np.uint8],
    n_tokens: int,
    n_keywords: int,
    ignored: Sequence[int] = (),
) -> list[NDArray[np.int64]]:
    """Return the tokens that stand out in the documents of each label, the strongest first.

    Tokens are ranked by the log-odds ratio with an informative Dirichlet prior, over its standard error (Monroe, Colaresi and
    Quinn, Political Analysis 16(4), 2008). The documents with the label are compared with those without it; the prior of a
    token is its count in all documents. Only tokens more frequent with the label than without it are keywords. A label that
    every document or none carries has no keyword.

    Args:
        ids: the tokens of each document.
        labels: (n_documents, n_labels).
        n_tokens: size of the vocabulary.
        n_keywords: keywords of a label, at most.
        ignored: tokens that are no keywords.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.training.keyword_attention import label_keywords
        >>> label_keywords([[0, 1, 1], [0, 2]], np.array([[1], [0]]), n_tokens=3, n_keywords=5)
        [array([1])]
    """
    lengths = [len(row) for row in ids]
    rows, columns = np.repeat(np.arange(len(ids)), lengths), np.concatenate([*ids, []]).astype(np.int64)
    counts = sparse.csr_array((np.ones(len(columns)), (rows, columns)), shape=(len(ids), n_tokens))
    prior: NDArray[np.float64] = np.asarray(counts.sum(0)).ravel()
    used = prior > 0
    used[list(ignored)] = False
    tokens = np.flatnonzero(used)
    keywords = []
    for label in range(labels.shape[1]):
        inside: NDArray[np.float64] = np.asarray(counts[labels[:, label] > 0].sum(0)).ravel()
        with np.errstate(invalid="ignore", divide="ignore"):  # one token alone has infinite odds
            odds = [np.log(y / (y.sum() - y))[tokens] for y in (inside + prior, 2 * prior - inside)]
            strength = (odds[0] - odds[1]) / np.sqrt(1 / (inside + prior) + 1 / (2 * prior - inside))[tokens]
        strength[~np.isfinite(strength)] = 0
        order = np.argsort(-strength, kind="stable")[:n_keywords]
        one_sided = 0 < labels[:, label].sum() < len(labels)
        keywords.append(tokens[order[strength[order] > 0]] if one_sided else tokens[:0])
    return keywords


def keep_layers(encoder: "PreTrainedModel", n_layers: int, name: str) -> None:
    """Keep evenly spaced layers of an encoder, from the first.

    Raises:
        UsageError: it has fewer, or no list of layers.
    """
    stack: Any = getattr(encoder, "encoder", None)
    layers = getattr(stack, "layer", None)
    if not isinstance(layers, nn.ModuleList):
        raise UsageError(f"encoder {name!r} has no list of layers to take some of; use one of the kind of BERT")
    if n_layers > len(layers):
        raise UsageError(
            f"student_layers is {n_layers}, but encoder {name!r} has {len(layers)} layers; pass at most that"
        )
    kept = [layers[i * len(layers) // n_layers] for i in range(n_layers)]
    stack.layer = nn.ModuleList(kept)
    encoder.config.num_hidden_layers = n_layers
