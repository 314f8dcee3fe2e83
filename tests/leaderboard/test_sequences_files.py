"""The sequences of likelihood records, and comparisons by them."""

import hashlib
import io
import math
import zipfile

import numpy as np
import pytest

from evaluation.record_files import LARGEST_SEQUENCES, read_sequences
from leaderboard.tables.build import compare, read_all

TOKENS = np.full(50, 20)


def write(folder, nats, variance=None, tokens=TOKENS):
    """The name of a file as an evaluation writes it."""
    variance = np.zeros(len(nats)) if variance is None else variance
    file = io.BytesIO()
    index = np.arange(len(tokens))
    np.savez(file, index=index, nats=nats, variance=variance, tokens=tokens)
    name = f"sequences/{hashlib.sha256(file.getvalue()).hexdigest()[:16]}.npz"
    (folder / "sequences").mkdir(exist_ok=True)
    (folder / name).write_bytes(file.getvalue())
    return name


def likelihood(algorithm, name, nats, file, **changes):
    value = math.exp(nats.sum() / TOKENS.sum())
    metrics = {"sequences_file": file}
    return algorithm(name, value, 0.5, count=int(TOKENS.sum()), metrics=metrics, **changes)


@pytest.fixture
def nats():
    rng = np.random.default_rng(0)
    hard = rng.gamma(4.0, 10.0, len(TOKENS))
    return {"mdlm": hard, "gidd": hard + rng.normal(2.0, 1.0, len(TOKENS))}


def test_pairing_tells_apart_what_alone_would_not(board, algorithm, nats, tmp_path):
    changes = [
        likelihood(algorithm, name, one, write(tmp_path, one, np.full(len(one), 0.1)))
        for name, one in nats.items()
    ]
    records = board(*changes)
    found, problems = read_all(records)
    assert (len(found), problems) == (2, [])
    (alone,) = [one for one in compare(records) if one.kind == "perplexity"]
    (paired,) = [one for one in compare(records, sequences=found) if one.kind == "perplexity"]
    assert (alone.best, paired.best) == (None, 0)
    assert "(paired, 50 sequences; one seed each)." in paired.sentence
    assert "only where rows are paired" in alone.detail


def test_seeds_are_averaged_before_they_are_paired(board, algorithm, nats, tmp_path):
    changes = []
    for seed in range(2):
        for name, one in nats.items():
            run = {"checkpoint": f"{name}{seed}", "seed": seed}
            file = write(tmp_path, one + seed * 0.1)
            changes.append(likelihood(algorithm, name, one + seed * 0.1, file, **run))
    records = board(*changes)
    (table,) = [t for t in compare(records, sequences=read_all(records)[0]) if t.kind != "cost"]
    assert [row.values["perplexity"].n for row in table.rows] == [2, 2]
    assert "(paired, 50 sequences; 2 seeds each)." in table.sentence
    assert "between seeds" in table.detail


def test_a_value_that_is_no_mean_over_sequences_is_not_paired(board, algorithm, nats, tmp_path):
    """As the mean of token means of several sequences each is."""
    changes = [
        likelihood(algorithm, name, one, write(tmp_path, one * 1.01)) for name, one in nats.items()
    ]
    records = board(*changes)
    (table,) = [t for t in compare(records, sequences=read_all(records)[0]) if t.kind != "cost"]
    assert "unpaired" in table.sentence


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda file: file.unlink(), "No such file"),
        (lambda file: file.write_bytes(file.read_bytes() + b"x"), "edited"),
        (lambda file: file.write_bytes(b""), "edited"),
    ],
)
def test_a_file_that_is_not_as_promised(board, algorithm, nats, tmp_path, break_it, message):
    name = write(tmp_path, nats["mdlm"])
    records = board(likelihood(algorithm, "mdlm", nats["mdlm"], name))
    break_it(tmp_path / name)
    found, (line,) = read_all(records)
    assert found == {}
    assert line.startswith(f"{records[0].path}: compared unpaired: ")
    assert message in line


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"nats": np.ones(3)}, "not of one length"),
        ({"tokens": TOKENS + 1}, "its tokens are not the 1000"),
        ({"nats": np.full(50, np.inf)}, "not finite"),
        ({"nats": np.array([None] * 50)}, "not the arrays of a likelihood"),
    ],
)
def test_arrays_that_cannot_be(board, algorithm, nats, tmp_path, arrays, message):
    name = write(tmp_path, **{"nats": nats["mdlm"], **arrays, "variance": np.zeros(50)})
    (record,) = board(likelihood(algorithm, "mdlm", nats["mdlm"], name))
    with pytest.raises(ValueError, match=message):
        read_sequences(record)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"variance": np.full(50, -1.0)}, "variances below 0"),
        ({"variance": np.full(50, np.inf)}, "variances below 0 or not finite"),
        ({"nats": np.full(50, 1e300)}, "nats that are not finite"),
        ({"tokens": np.full(50, np.nan)}, "numbers of tokens"),
        ({"tokens": np.r_[-20, 40, np.full(48, 20)]}, "numbers of tokens below 0"),
        ({"nats": np.ones((50, 1))}, "nats is no column of numbers"),
        ({"nats": np.ones(50, np.complex128)}, "nats is no column of numbers"),
        ({"nats": np.array("x")}, "nats is no column of numbers"),
    ],
)
def test_numbers_of_no_use(board, algorithm, nats, tmp_path, arrays, message):
    usual = {"nats": nats["mdlm"], "variance": np.zeros(50)}
    name = write(tmp_path, **{**usual, **arrays})
    records = board(likelihood(algorithm, "mdlm", nats["mdlm"], name))
    found, (line,) = read_all(records)
    assert found == {} and message in line
    assert compare(records, sequences=found)


def archive(tmp_path, content):
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.npz"
    (tmp_path / name).write_bytes(content)
    return name


def test_a_small_file_does_not_fill_the_memory(board, algorithm, nats, tmp_path):
    file, ones = io.BytesIO(), np.ones(LARGEST_SEQUENCES // 32 + 1)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        for name in ("index", "nats", "variance", "tokens"):
            with made.open(f"{name}.npy", "w") as entry:
                np.save(entry, ones)
    (record,) = board(
        likelihood(algorithm, "mdlm", nats["mdlm"], archive(tmp_path, file.getvalue()))
    )
    with pytest.raises(ValueError, match="bytes unpacked, at most"):
        read_sequences(record)


def test_an_array_that_says_it_is_larger_than_it_is(board, algorithm, nats, tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        one = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            one, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
        )
        made.writestr("index.npy", one.getvalue())
    (record,) = board(
        likelihood(algorithm, "mdlm", nats["mdlm"], archive(tmp_path, file.getvalue()))
    )
    with pytest.raises(ValueError, match="not the arrays of a likelihood"):
        read_sequences(record)


@pytest.mark.parametrize("header", ["{[]: 1}", "{", "(10**30,)", "(True,)", "(-1,)"])
def test_an_array_with_a_header_that_is_none(board, algorithm, nats, tmp_path, header):
    if header.startswith("("):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {header}}}"
    header = header.replace("10**30", f"{10**30}").encode() + b"\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("index.npy", b"\x93NUMPY\1\0" + bytes([len(header), 0]) + header + bytes(8))
    (record,) = board(
        likelihood(algorithm, "mdlm", nats["mdlm"], archive(tmp_path, file.getvalue()))
    )
    with pytest.raises(ValueError, match="not the arrays of a likelihood"):
        read_sequences(record)


@pytest.mark.parametrize("place", range(0, 1100, 37))
def test_any_flipped_byte_is_an_error_with_a_name(board, algorithm, nats, tmp_path, place):
    """Under the digest of what it is then."""
    content = bytearray((tmp_path / write(tmp_path, nats["mdlm"])).read_bytes())
    content[place % len(content)] ^= 0x55
    (record,) = board(likelihood(algorithm, "mdlm", nats["mdlm"], archive(tmp_path, content)))
    try:
        read_sequences(record)  # where the byte stands for nothing
    except ValueError as error:
        assert str(error).startswith(str(tmp_path))


def test_not_an_archive_and_no_file(board, algorithm, nats, tmp_path):
    content = b"PK\x03\x04 half of it"
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.npz"
    (tmp_path / name).write_bytes(content)
    (record,) = board(likelihood(algorithm, "mdlm", nats["mdlm"], name))
    with pytest.raises(ValueError, match="not the arrays of a likelihood"):
        read_sequences(record)
    other = board(algorithm("gidd", 12.0))
    assert [read_sequences(one) for one in other if one.algo == "gidd"] == [None]
