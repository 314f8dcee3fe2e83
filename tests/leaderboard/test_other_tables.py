"""Samples, oracle, downstream tasks and cost: what shares a table, and what is said of it."""

import pytest

from leaderboard.tables.build import compare, without_table

SCORER = {
    "gen_ppl_scorer": {"scorer": "ar", "scorer_digest": "j"},
    "quality_protocol": {"name": "x"},
}


def of_kind(records, kind):
    return [table for table in compare(records) if table.kind == kind]


def scored(sample, checkpoint, gen_ppl, entropy, **changes):
    metrics = {"gen_ppl": gen_ppl, "gen_ppl_stderr": 0.5, **SCORER, **changes.pop("metrics", {})}
    return sample(checkpoint, entropy, algo=checkpoint, metrics=metrics, **changes)


def test_generative_perplexity_never_stands_without_entropy(board, algorithm, sample):
    records = board(
        algorithm("mdlm", 13.0),
        scored(sample, "mdlm", 30.0, 5.1),
        scored(sample, "gidd", 25.0, 4.1),
        sample("udlm", 5.0, algo="udlm", metrics=SCORER),
    )
    for table in compare(records):
        keys = [column.key for column in table.columns]
        if "generative_perplexity" in keys:
            assert keys[keys.index("generative_perplexity") + 1] == "entropy"
            for row in table.rows:
                if row.values.get("generative_perplexity") is not None:
                    assert row.values["entropy"] is not None
        else:
            assert table.kind != "samples"
    (table,) = of_kind(records, "samples")
    assert table.best is None
    assert "No row is bold" in table.detail


@pytest.mark.parametrize(
    "other",
    [
        {"metrics": {"gen_ppl_scorer": {"scorer": "ar", "scorer_digest": "another"}}},
        {"metrics": {"quality_protocol": {"name": "y"}}},
        {"count": 7},
        {"data": {"name": "lm1b"}},
        {"data": {"digest": "e" * 64}},
        {"protocol": {"length": 512}},
        {"protocol": {"tasks": "0123456789abcdef"}},
        {"training": {"corpus": "another"}},
    ],
)
def test_samples_that_cannot_be_compared_never_share_a_table(board, sample, other):
    records = board(scored(sample, "mdlm", 30.0, 5.1), scored(sample, "gidd", 25.0, 4.1, **other))
    assert [len(table.rows) for table in of_kind(records, "samples")] == [2, 2]  # with held-out


def test_a_scorer_of_its_own_samples_is_named(board, sample):
    (alone,) = of_kind(board(scored(sample, "mdlm", 30.0, 5.1)), "samples")
    assert "itself" not in alone.sentence
    (table,) = of_kind(board(scored(sample, "j", 20.0, 4.9)), "samples")  # beside the other
    assert "gen. ppl of j is by itself" in table.sentence


def test_samplers_are_rows_and_seeds_are_not(board, sample):
    def drawn(steps, seed, gen_ppl, network_evaluations):
        sampler = {"predictor": "ancestral", "steps": steps}
        sampler |= {"network_evaluations": network_evaluations}
        run = {"training": {"checkpoint_digest": f"c{seed}"}, "seed": seed, "sampler": sampler}
        metrics = {"divergence": gen_ppl / 100, "divergence_stderr": 0.01, "seconds": 50.0}
        return scored(sample, "mdlm", gen_ppl, 5.0, metrics=metrics, count=100, **run)

    few = [drawn(8, seed, 50.0 + seed, 8 - seed / 10) for seed in range(3)]
    many = [drawn(64, seed, 30.0 + seed, 64) for seed in range(2)]
    (table,) = of_kind(board(*few, *many), "samples")
    *rows, held_out = table.rows
    assert held_out.name == "held-out text"
    assert [row.values["sampler"] for row in rows] == [
        "ancestral, 64 steps",
        "ancestral, 8 steps",
    ]
    best, worst = (row.values["generative_perplexity"] for row in rows)
    assert (best.n, worst.n, worst.mean, worst.deviation) == (2, 3, 51.0, 1.0)
    assert table.rows[0].values["seconds_per_text"] == 0.5
    assert "Divergences: The difference is real (" in table.sentence


def test_held_out_text_is_a_row_over_its_seeds(board, sample):
    def drawn(seed, gen_ppl, entropy):
        reference = {"reference_gen_ppl": gen_ppl, "reference_entropy": entropy}
        run = {"seed": seed, "training": {"checkpoint_digest": f"c{seed}"}}
        return scored(sample, "mdlm", 30.0, 5.1, metrics=reference, **run)

    records = board(drawn(1, 20.0, 5.5), drawn(2, 22.0, 5.7))
    *_, row = of_kind(records, "samples")[0].rows
    assert (row.name, row.records) == ("held-out text", ())
    assert row.values["generative_perplexity"].mean == 21.0
    assert row.values["entropy"].mean == pytest.approx(5.6)


def test_samplers_are_named_with_the_settings_that_are_not_neutral(board, sample):
    plain = {"predictor": "ancestral", "steps": 128, "length": 1024, "temperature": 1.0}
    hot = {"predictor": "ar", "length": 64, "temperature": 0.8, "p_nucleus": None}
    records = board(sample("mdlm", 5.1, sampler=plain), sample("ar", 5.2, sampler=hot))
    (table,) = of_kind(records, "samples")
    assert {row.values["sampler"] for row in table.rows if row.records} == {
        "ar, temperature 0.8, length 64",
        "ancestral, 128 steps",
    }


def lost(value, stderr=0.01, **changes):
    protocol = {"predictor": "ancestral", "steps": 16, "length": 64, **changes.pop("protocol", {})}
    return {
        "metric": "oracle",
        "kind": "estimate",
        "value": value,
        "stderr": stderr,
        "protocol": protocol,
        "sampler": protocol,
        "network": {"name": "perfect", "parameters": 0},
        "training": {"checkpoint_digest": None, "steps": None, "tokens": None},
        "metrics": {"losses": {"kl_2": {"excess": value / 2, "stderr": 0.1}}},
        **changes,
    }


def test_oracle_rows_and_which_losses_are_real(board):
    records = board(
        lost(0.5),
        lost(0.001, protocol={"steps": 256}),
        lost(0.2, network={"name": "nano", "parameters": 5}),
        lost(0.3, data={"digest": "e" * 64}),
        lost(0.3, protocol={"length": 32}),
        lost(0.3, count=5),
    )
    tables = of_kind(records, "oracle")
    assert sorted(len(table.rows) for table in tables) == [1, 1, 1, 3]
    (table,) = [one for one in tables if len(one.rows) == 3]
    values = [row.values["excess_nats_per_symbol"].mean for row in table.rows]
    assert values == [0.001, 0.2, 0.5]
    assert table.rows[2].values["kl_2"].mean == 0.25
    assert table.sentence == "2 of 3 losses are real."
    assert "16 steps (nano)" in table.detail
    assert "16 steps (perfect)" in table.detail
    assert "256 steps" not in table.detail
    assert table.best is None


def task(algo, value, stderr=0.01, **changes):
    metrics = {"acc": [value, stderr], "acc_norm": [value / 2, None]}
    known = {"undecided": 0.25, "log_likelihood_stderr": 0.1}
    metrics = {"task_metrics": metrics, "answers": "answers.jsonl", "log_likelihoods": known}
    return {
        "metric": "acc",
        "kind": "estimate",
        "algo": algo,
        "value": value,
        "stderr": stderr,
        "training": {"checkpoint_digest": algo},
        "data": {"name": "arc_easy"},
        "metrics": metrics,
        **changes,
    }


def test_tasks_are_in_order_of_accuracy(board):
    records = board(task("mdlm", 0.3), task("ar", 0.4), task("gidd", 0.5, data={"name": "piqa"}))
    arc, piqa = of_kind(records, "downstream")
    assert arc.title == "arc_easy: acc, 102,300 questions"
    assert [row.name for row in arc.rows] == ["ar", "mdlm"]
    assert arc.best is None  # AR is the baseline
    assert arc.rows[0].values["acc_norm"].mean == 0.2
    assert arc.rows[0].values["undecided"] == 0.25
    assert [row.name for row in piqa.rows] == ["gidd"]


def test_a_perplexity_of_a_task_is_in_order_from_below(board):
    low = task("ar", 20.0, 0.1, metric="perplexity")
    high = task("mdlm", 30.0, 0.1, metric="perplexity", kind="upper bound")
    (table,) = of_kind(board(high, low), "downstream")
    assert [row.name for row in table.rows] == ["ar", "mdlm"]
    assert [row.values["perplexity"].is_bound for row in table.rows] == [False, True]


def test_cost_is_of_one_machine(board, algorithm, sample):
    gpu = {"cpu": "a processor", "gpu": "H", "gpus": 8}
    measured = {"tokens_per_second": 500.0, "network_evaluations": 128}
    records = board(
        algorithm("mdlm", 13.0, metrics={"train_seconds": 100.0, "train_peak_memory_bytes": 7}),
        algorithm("ar", 11.0, metrics={"train_seconds": 50.0}),
        algorithm("gidd", 12.0, hardware=gpu, metrics={"train_seconds": 10.0}),
        sample("mdlm", 5.0, metrics=measured),
        sample("ar", 5.0, metrics=measured, hardware=gpu),
    )
    here, there = sorted(of_kind(records, "cost"), key=lambda table: -len(table.rows))
    ar, mdlm = here.rows
    assert mdlm.values["training_speed"] == 2_621_440.0
    assert mdlm.values["sampling_speed"] == 500.0
    assert mdlm.values["training_peak_memory"] == 7
    assert ar.values["training_peak_memory"] is None
    assert ar.values["sampling_speed"] is None  # drawn on another machine
    assert there.title == "cost: small on 8 x H"
    assert "no standard error" in here.sentence


@pytest.mark.parametrize(
    "other",
    [
        {"network": {"name": "tiny"}},
        {"config": {"trainer": {"precision": "bf16-mixed"}}},
        {"config": {"loader": {"global_batch_size": 8}}},
        {"config": {"model": {"length": 64}}},
        {"hardware": {"threads": 3}},
    ],
)
def test_speeds_that_cannot_be_compared_never_share_a_table(board, algorithm, other):
    records = board(algorithm("mdlm", 13.0), algorithm("gidd", 12.0, **other))
    assert [len(table.rows) for table in of_kind(records, "cost")] == [1, 1]


def test_records_without_a_table_are_counted(board, algorithm, sample):
    records = board(
        algorithm("mdlm", 13.0),
        sample("mdlm", 5.0),
        {"metric": "audit"},
        {"metric": "audit", "seed": 2},
    )
    assert without_table(records) == ["2 of metric=audit"]
