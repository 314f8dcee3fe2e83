"""The charts: what they compare, what a point says, what curves they read, what files they make."""

import hashlib
from itertools import pairwise
from pathlib import Path

import pytest

from evaluation.record_files import read_attached_curve
from evaluation.records import read_records, write_record
from leaderboard.charts import data, figures
from leaderboard.charts.files import KINDS, write_charts
from leaderboard.charts.ladders import beside_published
from leaderboard.charts.marks import COLORS, log_base, looks
from leaderboard.links import Links
from leaderboard.published.results import published
from leaderboard.tables.build import compare
from tests.leaderboard import example_results

CURVE = "step,tokens,seconds,nats_per_token,nats_stderr"


def records_of(folder, **changes):
    few = {"algos": ("ar", "mdlm"), "seeds": (1,), "steps": (8, 32)}
    example_results.write(folder, **few | changes)
    records, problems = read_records(folder)
    assert problems == []
    return records


def linked(records):
    """Without tables, so that a series has the name of its algorithm."""
    return Links([], records, records[0].path.parent)


def luminance(color):
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (((p + 0.055) / 1.055) ** 2.4 if p > 0.04045 else p / 12.92 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def curve_file(folder, lines):
    content = "\n".join(lines) + "\n"
    file = folder / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.csv"
    file.write_text(content)
    return file


def test_bars_are_two_standard_errors_of_the_record(tmp_path):
    records = records_of(tmp_path, algos=("mdlm",), steps=(8,))
    (record,) = [record for record in records if record.sampler]
    (point,) = data.sampled(linked([record]))
    metrics = record.metrics
    assert point["gen_ppl"] == metrics["gen_ppl"] and point["entropy"] == record.value
    assert point["gen_ppl_high"] - point["gen_ppl"] == pytest.approx(2 * metrics["gen_ppl_stderr"])
    assert point["entropy"] - point["entropy_low"] == pytest.approx(2 * record.stderr)
    assert point["href"] == "#record-0"
    assert point["seconds"] == pytest.approx(metrics["seconds"] / record.count)


@pytest.mark.parametrize(
    "other",
    [
        {"metrics": {"gen_ppl_scorer": {"scorer": "gpt2-large", "scorer_digest": "1" * 64}}},
        {"metrics": {"quality_protocol": {"name": "mdlm"}}},
        {"data": {"digest": "8" * 64}},
        {"protocol": {"length": 64}},
    ],
)
def test_what_cannot_be_compared_shares_no_group(tmp_path, make_fields, other):
    same = {
        "metric": "samples",
        "kind": "estimate",
        "protocol": {"length": 128},
        "sampler": {"predictor": "ancestral", "steps": 8},
        "metrics": {"gen_ppl": 9.0, "gen_ppl_scorer": {"scorer": "a"}, "network_evaluations": 8.0},
    }
    for number, changes in enumerate(({}, {"seed": 2}, other)):
        fields = make_fields(**{**same, "created": f"2026-01-0{number + 1}T00:00:00+00:00"})
        for key, value in changes.items():
            fields[key] = {**fields[key], **value} if isinstance(value, dict) else value
        write_record(tmp_path, fields)
    records, _ = read_records(tmp_path)
    records.sort(key=lambda record: record.created)
    groups = [point["group"] for point in data.sampled(linked(records))]
    assert groups[0] == groups[1] != groups[2]
    figure = figures.frontier(data.sampled(linked(records)), looks(["mdlm"]))
    assert len(figure.views) == 2 and len({view.file for view in figure.views}) == 2


def test_a_line_joins_one_sampler_of_one_network(tmp_path):
    records = records_of(tmp_path, algos=("mdlm", "gidd"), seeds=(1, 2), steps=(4, 8, 16))
    lines = {}
    for point in data.sampled(linked(records)):
        lines.setdefault(point["line"], []).append(point)
    assert len(lines) == 4
    for own in lines.values():
        assert {point["steps"] for point in own} == {4, 8, 16}
        assert len({(point["algo"], point["seed"]) for point in own}) == 1


def test_measures_of_quality_stand_apart_and_seconds_by_machine(tmp_path):
    points = data.quality(linked(records_of(tmp_path)))
    assert {point["measure"] for point in points} == {
        "generative perplexity",
        "divergence from held-out text",
    }
    for point in points:
        assert point["measure"] in point["group"]
        assert "Example(R) Processor" in point["timed"]


def test_an_oracle_gap_is_a_quality(tmp_path, make_fields):
    changes = {"metric": "oracle", "kind": "estimate", "value": -0.01, "stderr": 0.02}
    metrics = {"network_evaluations": 64.0, "seconds": 3.0}
    write_record(tmp_path, make_fields(**changes, sampler={"predictor": "psi"}, metrics=metrics))
    (point,) = data.quality(linked(read_records(tmp_path)[0]))
    assert (point["value"], point["value_low"]) == (-0.01, pytest.approx(-0.05))
    (first, *_) = figures.quality([point], looks(["mdlm"])).views
    assert "log" not in str(first.spec["layer"][1]["encoding"]["y"])  # below zero there is none


@pytest.mark.parametrize(
    ("low", "high", "base"), [(1.0, 5.0, 10), (2.0, 9.0, None), (0.0, 9.0, None), (-1, 9.0, None)]
)
def test_a_log_axis_is_for_positive_values_that_spread(low, high, base):
    rows = [{"value_low": low, "value_high": 2 * low}, {"value_low": high / 2, "value_high": high}]
    assert log_base(rows, "value") == base
    assert log_base([], "value") is None


def test_a_curve_is_read_once_and_held_against_its_digest(tmp_path):
    lines = [CURVE, "1,10,0.5,3.5,0.1", "2,20,1.0,nan,0.1", "3,30,1.5,2.5,0.2"]
    file = curve_file(tmp_path, lines)
    read = ([1, 3], [10, 30], [0.5, 1.5], [3.5, 2.5], [0.1, 0.2])
    assert read_attached_curve(file) == read
    file.write_text(file.read_text() + "4,40,2.0,1.0,0.1\n")
    with pytest.raises(ValueError, match="edited"):
        read_attached_curve(file)
    for wrong in (["step,tokens", "1,2"], [lines[0], "1,2,x,4,5"], [lines[0], "1,2"]):
        with pytest.raises(ValueError, match="no learning curve of this suite"):
            read_attached_curve(curve_file(tmp_path, wrong))
    with pytest.raises(ValueError, match=r"none.csv: No such file"):
        read_attached_curve(tmp_path / "none.csv")


def test_a_long_curve_is_thinned_and_keeps_its_end(tmp_path):
    rows = [f"{n},{n},{n},{n},{n}" for n in range(1, 1001)]
    curve = read_attached_curve(curve_file(tmp_path, [CURVE, *rows]))
    thin = curve.thinned(30)
    assert 25 <= len(thin.step) <= 30 and thin.step[-1] == 1000
    assert len({b - a for a, b in pairwise(thin.step)}) == 1
    assert curve.thinned(5000) == curve


def test_runs_share_a_curve_and_the_record_of_their_own_text_shows_it(tmp_path, make_fields):
    lines = [CURVE, "1,10,0.5,3.5,nan"]  # an error that nobody knows
    (tmp_path / "curves").mkdir()
    name = f"curves/{curve_file(tmp_path / 'curves', lines).name}"
    for corpus in ("ptb", "wikitext103", "lambada"):
        fields = make_fields(training={"corpus": "wikitext103"}, metrics={"curve": name})
        write_record(tmp_path, {**fields, "data": {**fields["data"], "name": corpus}})
    points, problems = data.curves(linked(read_records(tmp_path)[0]))
    assert problems == [] and [point["corpus"] for point in points] == ["wikitext103"]
    assert points[0]["marked"] == [True]


def test_published_perplexities_stand_beside_the_same_text_only(tmp_path, make_fields):
    protocol = {"length": 1024, "packing": "wrap", "tokenizer": "gpt2"}
    texts = {
        "owt": ("openwebtext", protocol),
        "short": ("openwebtext", {**protocol, "length": 512}),
    }
    texts["own"] = ("stdlib", protocol)
    for corpus, said in texts.values():
        fields = make_fields(training={"corpus": corpus}, protocol=said)
        write_record(tmp_path, {**fields, "data": {"name": corpus, "digest": "d" * 64}})
    records, _ = read_records(tmp_path)
    points = beside_published(compare(records), published(), linked(records))
    theirs = [point for point in points if point["who"] == "published"]
    assert {point["who"] for point in points if "stdlib" in point["group"]} == {"ours"}
    for length in (512, 1024):
        rows = [r for r in published() if (r.dataset, r.metric) == ("openwebtext", "ppl")]
        same = {row.value for row in rows if row.context_length == length}
        shown = {point["value"] for point in theirs if f"length {length}," in point["group"]}
        assert shown <= same and (17.5 in shown) == (length == 1024)
    assert all(point["href"].startswith("https://arxiv.org/abs/") for point in theirs)


def test_series_look_different_without_their_colours():
    seen = looks([f"algorithm {number}" for number in range(10)])
    assert len({(look.shape, tuple(look.dash)) for look in seen.values()}) == 10
    assert len({look.color for look in seen.values()}) == 10
    more = looks([f"algorithm {number:03d}" for number in range(40)]).values()
    assert len({look.shape for look in list(more)[:13]}) == 13  # a page has more than ten of them
    assert len({(look.shape, look.color) for look in more}) == 40
    for color in COLORS:
        assert contrast(color, "#ffffff") > 3 and contrast(color, "#16181b") > 3


def test_every_view_becomes_three_files_that_lead_to_records(tmp_path):
    points = data.sampled(linked(records_of(tmp_path)))
    figure = figures.frontier(points, looks(point["series"] for point in points))
    files = {point["href"]: f"../../{point['href']}" for point in points}
    made = write_charts(tmp_path / "charts", [figure], files)
    assert [path.suffix[1:] for path in made] == list(KINDS)
    png, svg, pdf = (path.read_bytes() for path in made)
    assert png.startswith(b"\x89PNG") and pdf.startswith(b"%PDF")
    drawing = svg.decode()
    assert all(f'href="{address}"' in drawing for address in files.values())
    assert "invalid" not in drawing
    assert "Generative perplexity against entropy" in drawing and "currentColor" not in drawing
    assert all(color.lower() in drawing for color in COLORS[:2])


def test_names_of_files_are_short_and_their_own():
    long = "stdlib, length 128, scored by outputs/stdlib/ar-nano/seed7 0f0f0f, protocol "
    names = {figures.file_name("frontier", "", long + end) for end in ("default", "duo", "x | 2")}
    assert len(names) == 3
    assert all(len(name) < 80 and Path(name).name == name for name in names)


def test_tables_of_one_title_are_told_apart_by_their_protocol(tmp_path, make_fields):
    for times in ("(0, 1)", "uniform in [0.001, 1]"):
        write_record(tmp_path, make_fields(protocol={"times": times}))
    records, _ = read_records(tmp_path)
    points = beside_published(compare(records), (), linked(records))
    digests = {record.protocol_digest for record in records}
    assert {point["group"].rpartition(" ")[2] for point in points} == digests
