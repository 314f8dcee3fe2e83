"""Every published recipe of configs/experiment beside the numbers that the papers and their code
state."""

import pytest

import main
from backbones.dit import DiT
from modes.build import algorithm
from modes.checks.combinations import check
from modes.checks.recipes import hint, recipe_of
from modes.settings import stored
from schema.fields import keywords
from tests.changed import changed
from tests.composed import composed
from tests.modes.conftest import lookup

ALGOS = ("ar", "d3pm", "duo", "mdlm", "sedd", "udlm")
FOLDER = main.ROOT / "configs" / "experiment"
OTHERS = {"markov", "shakespeare_char"}  # of this machine's size, not published by these papers
MILLION = 1_000_000
LINE = {  # what all runs of the MDLM line share
    "model.name": "small",
    "model.dropout": 0.1,
    "loader.global_batch_size": 512,
    "optim.lr": 3e-4,
    "optim.beta1": 0.9,
    "optim.beta2": 0.999,
    "optim.eps": 1e-8,
    "optim.weight_decay": 0.0,
    "lr_scheduler.name": "constant_warmup",
    "lr_scheduler.num_warmup_steps": 2500,
    "training.ema": 0.9999,
    "training.sampling_eps": None,
    "trainer.max_steps": MILLION,
    "trainer.gradient_clip_val": 1.0,
    "trainer.precision": "bf16-mixed",
    "data.framing": "bos-eos",
}
CORPORA = {
    "owt": {
        "data.name": "openwebtext-split",
        "data.tokenizer_name_or_path": "gpt2",
        "data.packing": "wrap",
        "data.insert_eos": True,
        "model.length": 1024,
    },
    "lm1b": {
        "data.name": "lm1b",
        "data.tokenizer_name_or_path": "bert-base-uncased",
        "data.packing": "pad",
        "data.crop": "start",
        "model.length": 128,
    },
    "lm1b-wrap": {
        "data.name": "lm1b-wrap",
        "data.tokenizer_name_or_path": "bert-base-uncased",
        "data.packing": "wrap",
        "data.insert_eos": True,
        "model.length": 128,
    },
    "text8": {"data.name": "text8", "data.packing": "wrap", "model.length": 256},
}
OWN = {
    "ar": {"trainer.max_steps": MILLION // 2},
    "d3pm": {"algo.T": 1000, "algo.reconstruct_one_in": 1, "noise.name": "log-linear"},
    "mdlm": {"noise.name": "log-linear", "noise.eps": 1e-3, "algo.loss_type": "bound"},
    "sedd": {"noise.name": "log-linear", "noise.eps": 1e-3},
    "udlm": {"noise.name": "log-linear", "noise.eps": 1e-3},
    "duo": {
        "noise.name": "log-linear",
        "algo.curriculum": "full",
        "algo.tau": 1e-3,
        "algo.curriculum_steps": MILLION // 2,
    },
}
GAMMA = {"owt": (-3.55, -1.85), "lm1b": (-3.5, -1.75), "lm1b-wrap": (-3.5, -1.75)}
GIDD = LINE | {
    "algo.weighting": "dynamic",
    "optim.lr": 5e-4,
    "optim.beta2": 0.99,
    "optim.eps": 1e-9,
    "lr_scheduler.name": "cosine_warmup",
    "lr_scheduler.num_warmup_steps": 10_000,
    "lr_scheduler.min_ratio": 0.1,
    "training.ema": 0.0,
    "trainer.max_steps": MILLION // 2,
    "model.dropout": 0.0,
    "model.length": 512,
    "data.name": "openwebtext-split",
    "data.tokenizer_name_or_path": "gpt2",
    "data.packing": "pad",
    "data.crop": "random",
    "data.insert_eos": False,
}
TEACHER = {
    "training.finetune_path": "outputs/openwebtext-split/duo-small/seed1",
    "training.finetune_ema": False,
}


def table() -> dict[str, dict[str, object]]:
    rows: dict[str, dict[str, object]] = {}
    for corpus, text in CORPORA.items():
        for algo in ALGOS:
            rows[f"{corpus}_{algo}"] = LINE | text | OWN[algo] | {"algo.name": algo}
        if corpus in GAMMA:
            low, high = GAMMA[corpus]
            rows[f"{corpus}_duo"] |= {"algo.gamma_min": low, "algo.gamma_max": high}
    rows["owt_duo_finetune"] = LINE | CORPORA["owt"] | OWN["udlm"] | TEACHER
    rows["owt_duo_finetune"] |= {"algo.name": "udlm", "trainer.max_steps": MILLION // 2}
    rows["owt_distill"] = LINE | CORPORA["owt"] | TEACHER
    rows["owt_distill"] |= {
        "algo.name": "duo_distill",
        "algo.rounds": 5,
        "algo.grid": 512,
        "algo.divergence": "reverse",
        "algo.teacher": "raw",
        "algo.gamma_min": -4.0,
        "algo.gamma_max": -1.0,
        "loader.global_batch_size": 128,
        "optim.lr": 6e-5,
        "lr_scheduler.num_warmup_steps": 500,
        "training.ema": 0.999,
        "trainer.max_steps": 50_000,
    }
    for corpus in ("owt", "lm1b-wrap"):
        text = CORPORA[corpus]
        rows[f"{corpus}_bd3lm"] = (
            LINE
            | text
            | {
                "algo.name": "bd3lm",
                "algo.block_size": 16,
                "algo.noise": "masked",
                "algo.resample": True,
                "algo.clip_search": True,
                "noise.name": "log-linear",
                "data.framing": "bos",
                "training.finetune_path": f"outputs/{text['data.name']}/mdlm-small/seed1",
                "trainer.max_steps": 150_000,
            }
        )
    for share in (0.0, 0.1, 0.2):
        own = GIDD | {"algo.name": "gidd", "algo.p_uniform": share}
        rows[f"gidd_small_pu{share}"] = own
        rows[f"gidd_base_pu{share}"] = own | {"model.name": "base", "model.hidden_size": 1024}
        rows[f"gidd_tiny_pu{share}"] = own | {"model.name": "tiny", "model.n_blocks": 8}
        plus = {"optim.weight_decay": 0.02}
        for size in ("small", "base"):
            rows[f"gidd_{size}_pu{share}_plus"] = rows[f"gidd_{size}_pu{share}"] | plus
        rows[f"gidd_small_pu{share}_262B"] = own | plus | {"trainer.max_steps": MILLION}
    return rows


TABLE = table()


def test_every_recipe_is_in_the_table() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} - OTHERS == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_recipe_has_the_published_numbers(name: str) -> None:
    settings = composed(f"experiment={name}")
    plain = stored(settings)
    assert {key: lookup(plain, key) for key in TABLE[name]} == TABLE[name]
    given = {"experiment"}
    check(changed(settings, mode="benchmark"), given)  # its teacher need not be there
    together, alone = settings.loader.global_batch_size, settings.loader.batch_size
    assert together % (16 * alone) == 0, "up to 16 GPUs"


def test_no_two_recipes_train_in_one_directory() -> None:
    names = [name for name in TABLE if not name.startswith(("lm1b", "text8"))]
    places = {composed(f"experiment={name}").checkpointing.save_dir for name in names}
    assert len(places) == len(names)


def test_a_teacher_that_is_not_there_is_named() -> None:
    settings = composed("experiment=owt_distill", "training.finetune_path=nowhere")
    with pytest.raises(FileNotFoundError, match=r"finetune_path=nowhere: there is no"):
        check(settings, {"experiment", "training.finetune_path"})


def test_a_recipe_yields_to_the_command_line() -> None:
    given = ["experiment=gidd_base_pu0.2", "model=tiny", "data=wikitext2", "optim.lr=1e-4"]
    settings = composed(*given, "trainer.max_steps=10")
    assert settings.model.n_blocks == 8
    assert settings.data.name == "wikitext2"
    assert (settings.optim.lr, settings.trainer.max_steps) == (1e-4, 10)


@pytest.mark.parametrize("name", [name for name in TABLE if name.endswith("_duo")])
def test_a_shorter_run_keeps_the_step_of_the_published_switch(name: str) -> None:
    """DUO's first stage is 500,000 steps of curriculum, not half of what is asked for."""
    settings = composed(f"experiment={name}", "loader.batch_size=32", "trainer.max_steps=500000")
    small = {"hidden_size": 8, "cond_dim": 8, "n_blocks": 1, "n_heads": 1}
    made = algorithm(changed(settings, model=small), vocab_size=5)
    assert made.switch_step == settings.trainer.max_steps == 500_000


def test_a_share_beside_the_step_of_a_recipe_is_refused() -> None:
    given = ["experiment=owt_duo", "algo.curriculum_share=1"]
    with pytest.raises(ValueError, match=r"curriculum_share=1: algo.curriculum_steps=500000 says"):
        check(composed(*given), main.keys_of(given))
    given.append("algo.curriculum_steps=null")
    check(composed(*given), main.keys_of(given))


def test_tiny_has_the_published_number_of_parameters() -> None:
    """28.4M without embeddings: 8 blocks, not the 6 of the paper's table."""
    network = keywords(composed("model=tiny").model)
    blocks = DiT(vocab_size=8, causal=False, outputs=8, **network).blocks
    assert sum(p.numel() for p in blocks.parameters()) == pytest.approx(28.4e6, abs=0.05e6)


def test_a_training_without_its_recipe_is_told_of_it() -> None:
    for name in TABLE:
        if name.endswith(("_plus", "_262B", "_finetune")):
            continue  # the same network, text and algorithm as another
        settings = composed(f"experiment={name}")
        same = [f"model={settings.model.name}", f"data={settings.data.name}"]
        same.append(f"algo={settings.algo.name}")
        if settings.algo.name == "gidd":
            same.append(f"algo.p_uniform={settings.algo.p_uniform}")
        without = composed(*same)
        assert recipe_of(without) == name
        assert f"experiment={name} is the published recipe" in (hint(without) or "")
    assert hint(composed()) is None
    assert hint(composed("model=small", "data=wikitext2")) is None
    assert hint(composed("model=nano", "data=openwebtext-split")) is None
    assert hint(composed("mode=ppl_eval", "model=small", "data=text8")) is None
