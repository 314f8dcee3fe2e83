"""Files that may lie in a results_dir beside records: each is named in a line, the rest is read."""

import json
import os
import socket
import threading

import pytest

from evaluation.files import read_named
from evaluation.records import LARGEST, read_records, write_record


@pytest.fixture
def good(tmp_path, make_fields):
    return write_record(tmp_path, make_fields())


def sparse(file, size):
    with file.open("wb") as stream:
        stream.truncate(size)


def too_deep():
    """How this Python begins to say that JSON is nested too deeply."""
    try:
        json.loads("[" * 100_000)
    except RecursionError as error:
        return " ".join(str(error).split()[:2])
    raise AssertionError


def said_of(folder, good):
    """The line on the one other file there."""
    answers = []
    # A reader that waits for ever would have the test wait too.
    thread = threading.Thread(target=lambda: answers.append(read_records(folder)), daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert answers, "reading does not end"
    records, problems = answers[0]
    assert [record.path for record in records] == [good]
    (line,) = problems
    assert "\n" not in line and len(line) < 500
    return line


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "a pipe, not a file"),
        (os.mkdir, "a folder, not a file"),
        (lambda file: file.symlink_to(file), "Too many levels of symbolic links"),
        (lambda file: file.symlink_to("nowhere"), "No such file or directory"),
        (lambda file: file.symlink_to("/dev/zero"), "a device, not a file"),
        (lambda file: file.symlink_to("/proc/self/mem"), ""),
        (lambda file: sparse(file, 2**30), "more than 16,777,216 bytes: too large"),
    ],
)
def test_what_is_no_plain_file(tmp_path, good, make, words):
    file = tmp_path / "x.json"
    make(file)
    assert said_of(tmp_path, good).startswith(f"{file}: {words}")


def test_a_socket(tmp_path, good, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("x.json")
        assert "x.json: a socket, not a file" in said_of(tmp_path, good)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON, or half-written"),
        (b"{", "not JSON, or half-written"),
        (b"\xff\xfe{\x00}\x00", "not JSON, or half-written"),
        (b"[" * 100_000, f"not JSON, or half-written ({too_deep()}"),
        (b'{"schema": NaN}', "schema=nan: this version reads 2"),
        (b'{"schema": 2, "x": -Infinity}', "x=-inf: a finite number is required"),
        (b'{"schema": 2, "x": 1e999}', "x=inf: a finite number is required"),
        (b'{"schema": 2, "x": 1' + b"0" * 400 + b"}", "x: a whole number that no float64 holds"),
        (b'{"schema": 2, "x": 1' + b"0" * 10_000 + b"}", "not JSON, or half-written"),
        (b'{"schema": 2, "x": ["\\ud800"]}', "x.0='\\ud800': half a character"),
        (b'{"schema": 2, "\\udc00": 0}', "a key of the record='\\udc00': half a character"),
        (b'{"schema": 2, "x": ' + b"[" * 100 + b"]" * 100 + b"}", "more than 40 lists and dicts"),
        (b'{"schema": "' + b"x" * 100_000 + b'"}', "schema='xxxxx"),
    ],
)
def test_what_is_no_record(tmp_path, good, content, words):
    (tmp_path / "x.json").write_bytes(content)
    assert words in said_of(tmp_path, good)


@pytest.mark.parametrize("name", [b"\xff.json", b"a\nb.json", b"\x1b[31m.json"])
def test_a_name_that_cannot_be_shown(tmp_path, good, name):
    file = os.fsencode(tmp_path) + b"/" + name
    with open(file, "w") as stream:  # noqa: PTH123
        stream.write(good.read_text())
    line = said_of(tmp_path, good)
    assert "its name has characters that cannot be shown" in line
    assert line.isprintable() or "\ufffd" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_without_permission(tmp_path, good):
    (tmp_path / "x.json").touch(mode=0)
    assert said_of(tmp_path, good).endswith("x.json: Permission denied")


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def denied(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(OSError, match=r"results_dir=.*: Permission denied"):
        read_records(tmp_path)


def test_a_record_that_would_be_too_large_is_not_written(tmp_path, make_fields):
    long = make_fields(config={"sampling": {"infill": "x" * LARGEST}})
    with pytest.raises(ValueError, match=r"a record of .* bytes: at most"):
        write_record(tmp_path, long)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"algo": "a\x07"}, "algo"),
        ({"algo": ""}, "algo"),
        ({"data": {"name": "a\nb"}}, "data.name"),
        ({"value": 0.0}, "value"),
        ({"value": 1e200}, "value"),
        ({"stderr": -1.0}, "stderr"),
        ({"count": 0}, "count"),
        ({"seed": 10**400}, "seed"),
        ({"metrics": {"gen_ppl_scorer": "x"}}, "metrics.gen_ppl_scorer"),
        ({"metrics": {"train_seconds": "x"}}, "metrics.train_seconds"),
        ({"metrics": {"reference_gen_ppl": -1.0}}, "metrics.reference_gen_ppl"),
        ({"metrics": {"entropy_stderr": -1.0}}, "metrics.entropy_stderr"),
        ({"metrics": {"entropy_ci": [1.0]}}, "metrics.entropy_ci"),
        ({"metrics": {"distinct_2": 1.5}}, "metrics.distinct_2"),
        ({"metrics": {"losses": {"kl_1": {"excess": 1.0}}}}, "metrics.losses.kl_1.stderr"),
        ({"metrics": {"curve": "a\x00b"}}, "metrics.curve"),
        ({"training": {"finetuned_from": "x"}}, "training.finetuned_from"),
        ({"protocol": {"tasks": 5}}, "protocol.tasks"),
        ({"hardware": {"gpus": "x"}}, "hardware.gpus"),
        ({"config": {"model": {"length": [1]}}}, "config.model.length"),
        ({"sampler": {"steps": -1}}, "sampler.steps"),
    ],
)
def test_what_reading_would_set_aside_is_not_written(tmp_path, make_fields, changes, field):
    with pytest.raises(ValueError, match=f"{field}( is missing|=|:)"):
        write_record(tmp_path, make_fields(**changes))
    assert not list(tmp_path.iterdir())


def test_a_byte_of_a_path_that_is_no_utf8_is_kept_as_its_number(tmp_path, make_fields):
    """So that a run in such a folder has a record."""
    odd = os.fsdecode(b"data\xff")
    write_record(tmp_path, make_fields(config={"data": {"path": odd, odd: 1}}))
    ((record,), problems) = read_records(tmp_path)
    assert problems == []
    assert record.config["data"] == {"path": "data\\udcff", "data\\udcff": 1}


def test_the_protocol_digest_is_that_of_the_protocol(tmp_path, good):
    """Else a record could share the table of another protocol."""
    from evaluation import record_schema

    fields = json.loads(good.read_text())
    del fields["digest"]
    fields["protocol"]["length"] = 7
    fields["digest"] = record_schema.digest(fields)
    (tmp_path / "x.json").write_text(json.dumps(fields))
    assert "edited: the protocol_digest" in said_of(tmp_path, good)


@pytest.mark.parametrize("name", ["x.csv", "e3b0c44298fc1c15.csv", "e3b0.csv", "-.csv", ".csv"])
def test_a_name_that_is_not_the_digest(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match="edited: its contents have the digest e3b0c44298fc1c14"):
        read_named(tmp_path / name, 10)
    (tmp_path / "time-name-e3b0c442.csv").touch()
    assert read_named(tmp_path / "time-name-e3b0c442.csv", 10) == b""
