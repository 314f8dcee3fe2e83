"""Our numbers beside the papers': only where the protocol is the same."""

import math

import pytest
import yaml

from hub.register import models
from leaderboard.published import match
from leaderboard.published.results import published
from leaderboard.tables.build import compare
from modes.leaderboard import ALGOS

PRESETS = ALGOS.parent / "protocol"
SMALL = {"n_blocks": 12, "hidden_size": 768, "n_heads": 12, "name": "small"}


def row(name):
    (found,) = [one for one in published() if one.id == name]
    return found


@pytest.fixture
def owt(make_fields):
    """Fields of a run on OpenWebText, measured by a named protocol."""

    def make(
        algo="mdlm", preset="mdlm-owt-1024", data="openwebtext-split", tokenizer="gpt2", **own
    ):
        said = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text("utf-8"))
        protocol = {**said["data"], "tokenizer": tokenizer, "length": said["model"]["length"]}
        config = {"protocol": said, "eval": said["eval"], "model": SMALL, "algo": {"name": algo}}
        training = {"corpus": data, "steps": 1_000_000, "tokens": 524_288_000_000}
        kind = "exact" if algo == "ar" else "upper bound"
        fields = make_fields(algo=algo, kind=kind, data={"name": data}, training=training)
        fields |= {"protocol": protocol, "config": config, "value": 23.0, "stderr": 0.01}
        return fields | own

    return make


def test_the_same_protocol(record, owt):
    assert match.mismatch(row("duo_t1_mdlm_owt"), record(owt()), {}) == ""
    lm1b = owt(preset="duo-lm1b", data="lm1b", tokenizer="bert-base-uncased")
    assert match.mismatch(row("duo_t1_mdlm_lm1b_nopack"), record(lm1b), {}) == ""
    assert match.mismatch(row("duo_t1_mdlm_lm1b_pack"), record(lm1b), {}) == "packing"
    packed = owt(preset="duo-lm1b-wrap", data="lm1b-wrap", tokenizer="bert-base-uncased")
    assert match.mismatch(row("duo_t1_mdlm_lm1b_pack"), record(packed), {}) == ""
    assert match.mismatch(row("duo_t1_mdlm_lm1b_nopack"), record(packed), {}) == "packing"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"data": {"name": "lm1b"}}, "dataset"),
        ({"training": {"corpus": "stdlib"}}, "metric"),
        ({"protocol": {"tokenizer": "bytes"}}, "tokenizer"),
        ({"protocol": {"length": 512}}, "context"),
        ({"protocol": {"packing": "pad"}}, "packing"),
        ({"config": {"protocol": {"name": "default"}}}, "split"),
        ({"config": {"protocol": {"name": "duo-lm1b"}}}, "split"),
        ({"protocol": {"framing": "bos"}}, "protocol"),
        ({"protocol": {"changed": ["data.max_eval_blocks"]}}, "protocol"),
        ({"protocol": {"insert_eos": False}}, "protocol"),
        ({"config": {"eval": {"times": None}}}, "protocol"),
        ({"config": {"model": {"n_blocks": 8}}}, "size"),
        ({"kind": "exact"}, "bound"),
    ],
)
def test_what_is_not_the_same_is_said(record, owt, change, word):
    from copy import deepcopy

    fields = deepcopy(owt())
    for key, value in change.items():
        fields[key] = {**fields[key], **value} if isinstance(value, dict) else value
        if key == "config":
            own = owt()["config"]
            fields[key] = {k: {**own.get(k, {}), **value.get(k, {})} for k in {*own, *value}}
    assert match.mismatch(row("duo_t1_mdlm_owt"), record(fields), {}) == word


def test_passes_change_the_error_alone(record, owt):
    fields = owt()
    fields["config"] = {**fields["config"], "eval": {**fields["config"]["eval"], "passes": 16}}
    assert match.mismatch(row("duo_t1_mdlm_owt"), record(fields), {}) == ""


def test_variants_and_doubts(record, owt):
    gidd = owt("gidd", "gidd-owt-512")
    plus = row("gidd_abl_plus_pu01")
    own = {"algo": {"name": "gidd", "p_uniform": 0.1, "weighting": "dynamic"}}
    own["optim"] = {"weight_decay": 0.02}
    gidd["config"] = {**gidd["config"], **own}
    plus = plus._replace(packing=False)
    assert match.mismatch(plus, record(gidd), {}) == ""
    assert match.mismatch(plus, record(gidd), {"algo.max_weight": 1.0}) == "variant"
    own["algo"]["p_uniform"] = 0.2
    assert match.mismatch(plus, record(gidd), {}) == "variant"
    bound = row("mdlm_t11_T1000")
    assert match.mismatch(bound, record(owt()), {}) == "variant"
    doubted = row("duo_t1_mdlm_owt")._replace(doubt="misprint suspected")
    assert match.mismatch(doubted, record(owt()), {}) == "misprint suspected"


def test_an_unstated_packing_is_never_the_same(record, owt):
    unstated = row("duo_t1_mdlm_owt")._replace(packing=None)
    assert match.mismatch(unstated, record(owt()), {}) == "packing"


def test_zero_shot_texts_whose_split_is_the_papers(record, owt):
    fields = owt()
    said = yaml.safe_load((PRESETS / "zero-shot.yaml").read_text("utf-8"))
    fields["config"] = {**fields["config"], "protocol": said, "eval": said["eval"]}
    fields["protocol"] = {**said["data"], "tokenizer": "gpt2", "length": 1024}
    for name, data, word in (
        ("mdlm_t3_mdlm_lambada", "lambada", ""),
        ("mdlm_t3_mdlm_ptb", "ptb", "split"),
    ):
        fields["data"] = {"name": data, "digest": "d"}
        assert match.mismatch(row(name), record(fields), {}) == word


def test_bits_per_character():
    value, error = match.in_its_unit(4.0, 0.04, "bpc")
    assert value == 2.0
    assert error == pytest.approx(0.01 / math.log(2))
    assert match.in_its_unit(4.0, None, "ppl") == (4.0, None)


def test_the_efficient_curriculum_is_another_paper(record, owt):
    fields = owt("duo")
    assert match.algorithm_of(record(fields)) == "duo"
    fields["config"] = {**fields["config"], "algo": {"name": "duo", "curriculum": "efficient"}}
    assert match.algorithm_of(record(fields)) == "duo_pp"
    assert match.same_algorithm(row("duo_t3_duo_nocl_lm1b_pack"), record(owt("udlm")))


def test_tables_have_published_and_off_by(owt, board):
    mdlm, ar = owt(), owt("ar", value=30.0, stderr=0.0)
    ar["config"] = {**ar["config"], "protocol": {"name": "default"}}
    made = compare(board(mdlm, ar), papers=published())
    tables = {one.kind: one for one in made}
    first, second = tables["perplexity"].rows
    assert first.values["published_perplexity"].mean == 23.2
    assert first.values["published_perplexity"].is_bound
    assert first.values["off_published"] == pytest.approx(23.0 / 23.2 - 1)
    assert "published_perplexity" not in second.values
    beside = tables["published"]
    assert beside.title == "openwebtext: perplexity as published"
    by_source = {(row.name, row.values["source"]): row.values for row in beside.rows}
    assert by_source[("ar", "arXiv 2506.10892, Table 1")]["not_comparable"] == "split"
    assert by_source[("gidd", "arXiv 2503.04482, weighting ablation table")]["not_comparable"] == (
        "no run of ours"
    )
    ours = by_source[("mdlm", "arXiv 2506.10892, Table 1")]
    assert ours["not_comparable"] is None
    assert ours["ours"].mean == 23.0
    assert all(row.values["source"] for row in beside.rows)
    assert "have the protocol of a run of ours" in beside.sentence
    listed = [len(one.rows) for one in made if one.kind in ("published", "papers")]
    assert sum(listed) == len(published())  # each number once


def test_generative_perplexity_stands_beside_its_like(record, owt, board):
    fields = owt("duo")
    scorer = {"scorer": "models/gpt2-large", "scorer_digest": "j"}
    sampler = {"predictor": "ancestral", "steps": 32, "length": 1024, "temperature": 1.0}
    metrics = {"gen_ppl": 80.0, "gen_ppl_stderr": 1.0, "gen_ppl_scorer": scorer}
    fields |= {"metric": "samples", "value": 5.5, "stderr": 0.01, "kind": "estimate"}
    fields |= {"metrics": metrics | {"quality_protocol": {"name": "duo"}}, "sampler": sampler}
    target = row("duo_t5_duo_T32")
    assert match.mismatch(target, record(fields), {}) == ""
    for change, word in (
        ({"steps": 16}, "steps"),
        ({"noise_removal": "greedy"}, "sampler"),
        ({"predictor": "psi"}, "sampler"),
        ({"temperature": 0.9}, "temperature"),
        ({"p_nucleus": 0.9}, "nucleus"),
        ({"draws": "gumbel32"}, "precision"),
        ({"tasks": "0123"}, "prompts"),
    ):
        assert match.mismatch(target, record(fields | {"sampler": sampler | change}), {}) == word
    (beside,) = [
        one for one in compare(board(fields), papers=published()) if one.kind == "published"
    ]
    first = beside.rows[0]
    assert (first.values["ours"].mean, first.values["our_entropy"].mean) == (80.0, 5.5)
    assert first.values["entropy"] == target.entropy
    assert first.values["sampling_steps"] == 32


@pytest.mark.parametrize(
    "model", [one for one in models().values() if one.published], ids=lambda model: model.name
)
def test_a_model_of_the_register_stands_beside_its_row(model, record, owt):
    """Nothing of its training is known but the row; the tokenizer of a folder has its path."""
    paper, sizes = row(model.published), SMALL
    if paper.size == "base":
        sizes = {"n_blocks": 24, "hidden_size": 1024, "n_heads": 16, "name": "published"}
    data = {"openwebtext": model.corpus}.get(paper.dataset, paper.dataset)
    fields = owt(model.algorithm, model.protocol, model.corpus, model.tokenizer or "/hub/folder")
    fields["config"] |= {"model": sizes}
    fields["data"] |= {"name": data}
    fields["training"] |= {"steps": None, "tokens": None}
    source = {"name": model.name, "format": model.format, "published": model.published}
    known = fields | {"training": fields["training"] | {"source": source}}
    assert match.mismatch(paper, record(known), {"algo.max_steps": 1}) == ""
    unknown = fields | {"training": fields["training"] | {"source": source | {"published": None}}}
    assert match.mismatch(paper, record(unknown), {}) in ("variant", "tokenizer")
