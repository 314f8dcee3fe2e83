"""Likelihoods of orders stand in a column of their own, beside the model's and never among them."""

from leaderboard.charts.ladders import beside_published
from leaderboard.export.markdown import markdown
from leaderboard.html.page import answer
from leaderboard.links import Links
from leaderboard.tables.build import compare


def ordered(algorithm, name, value, rule="confidence", per_step=1, **changes):
    order = {"order": rule, "per_step": per_step, "temperature": 1.0}
    return algorithm(
        name,
        value,
        0.0,
        metric="ordered_ppl",
        kind=f"exact under {rule}, {per_step} per step",
        protocol={"order": order},
        metrics={"network_evaluations": 64.0 / per_step},
        **changes,
    )


def test_orders_have_their_own_column_and_no_rank(board, algorithm):
    records = board(
        algorithm("mdlm", 14.0),
        algorithm("ar", 11.0, 0.0, kind="exact"),
        ordered(algorithm, "mdlm", 9.0, per_step=4),
        ordered(algorithm, "mdlm", 8.0, "margin"),
    )
    (table,) = (table for table in compare(records) if table.kind == "perplexity")
    names = [row.name for row in table.rows]
    assert names == ["ar", "mdlm", "mdlm, margin, 1 per step", "mdlm, confidence, 4 per step"]
    columns = {column.name: column for column in table.columns}
    cells = [
        [
            column.show(row.values[column.key]) if row.values.get(column.key) is not None else ""
            for column in (columns["perplexity"], columns["under an order"], columns["NFE"])
        ]
        for row in table.rows
    ]
    assert cells[0] == ["11.00", "", ""]
    assert cells[2] == ["", "8.00", "64"] and cells[3] == ["", "9.00", "16"]
    assert "under" not in table.sentence and table.rows[2].values["rank"] is None
    assert "only diffusion run" in answer(table) and "mdlm leads" in answer(table)
    records = [record for row in table.rows for record in row.records]
    points = beside_published([table], [], Links([], records, records[0].path.parent))
    assert [point["label"] for point in points] == ["ar", "mdlm"]
    assert "exact under" not in markdown([table]).split("\n")[0]


def test_an_order_alone_makes_a_table_without_a_verdict(board, algorithm):
    (table,) = (
        table
        for table in compare(board(ordered(algorithm, "mdlm", 9.0)))
        if table.kind == "perplexity"
    )
    assert [row.name for row in table.rows] == ["mdlm, confidence, 1 per step"]
    assert table.best is None and answer(table) == ""


def test_seeds_of_an_order_are_one_row(board, algorithm):
    records = board(
        *(
            ordered(
                algorithm, "mdlm", value, checkpoint=f"c{seed}", seed=seed, config={"seed": seed}
            )
            for seed, value in enumerate((9.0, 9.4, 9.2))
        )
    )
    (table,) = (table for table in compare(records) if table.kind == "perplexity")
    (row,) = table.rows
    assert row.values["ordered"].n == 3
