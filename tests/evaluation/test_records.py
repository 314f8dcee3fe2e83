import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation import record_schema
from evaluation.records import hardware, read_records, write_record

SCHEMA = f'"schema": {record_schema.SCHEMA}'


def test_round_trip(tmp_path, make_fields):
    fields = make_fields()
    path = write_record(tmp_path / "new" / "results", fields)
    records, problems = read_records(path.parent)
    assert problems == []
    assert [record.path for record in records] == [path]
    got = records[0].fields
    assert {name: got[name] for name in fields} == fields
    assert got["schema"] == record_schema.SCHEMA
    assert len(got["digest"]) == 64
    assert len(got["protocol_digest"]) == 12
    assert path.name == f"mdlm-ppl-wikitext103-20260131T120000Z-{got['digest'][:12]}.json"
    assert list(path.parent.iterdir()) == [path]


def test_numbers_of_numpy_and_torch_become_plain(tmp_path, make_fields):
    fields = make_fields(
        value=np.float32(2.5),
        stderr=torch.tensor(0.5, dtype=torch.bfloat16),
        count=np.int64(7),
        config={"path": tmp_path, "flag": np.bool_(True), "pair": (1, np.float64(2.0)), 3: None},
    )
    write_record(tmp_path, fields)
    got = read_records(tmp_path)[0][0].fields
    assert (got["value"], got["stderr"], got["count"]) == (2.5, 0.5, 7)
    assert got["config"]["path"] == str(tmp_path)
    assert got["config"]["flag"] is True
    assert got["config"]["pair"] == [1, 2.0]
    assert got["config"]["3"] is None


def test_the_protocol_digest_is_the_protocols_alone(tmp_path, make_fields):
    protocol = make_fields()["protocol"]
    write_record(tmp_path, make_fields())
    write_record(tmp_path, make_fields(seed=2, protocol=dict(reversed(protocol.items()))))
    write_record(tmp_path, make_fields(seed=3, protocol={"bos": False}))
    by_seed = {one.seed: one.protocol_digest for one in read_records(tmp_path)[0]}
    assert by_seed[1] == by_seed[2] != by_seed[3]


def test_every_changed_byte_that_changes_the_contents_is_seen(tmp_path, make_fields):
    path = write_record(tmp_path, make_fields())
    text = path.read_text()
    for old, new in (
        ("12.345678901234567", "12.345678901234566"),
        ("mdlm", "gidd"),
        ("169600000", "169600001"),
        ('"wrap"', '"none"'),
        ('"seed": 1', '"seed": 1.0'),
        ('"protocol_digest": "', '"protocol_digest": "0'),
        ('  "digest": "', '  "digest": "0'),
        ("12.345678901234567", "1e999"),
        ("12.345678901234567", "NaN"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        records, problems = read_records(tmp_path)
        assert records == []
        assert len(problems) == 1
        assert problems[0].startswith(f"{path}: ")
    path.write_text(text)
    assert len(read_records(tmp_path)[0]) == 1


def test_bad_files_are_named_and_good_ones_still_read(tmp_path, make_fields):
    good = write_record(tmp_path, make_fields())
    text = good.read_text()
    bad = {
        "half.json": text[: len(text) // 2],
        "empty.json": "",
        "list.json": "[1, 2]",
        "other.json": '{"loss": 3}',
        "later.json": text.replace(SCHEMA, '"schema": 3'),
        "older.json": text.replace(SCHEMA, '"schema": 1'),
        "strange.json": text.replace(SCHEMA, '"schema": "one"'),
        "deep.json": "[" * 100_000,
    }
    for name, contents in bad.items():
        (tmp_path / name).write_text(contents)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe{")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("not looked at")
    records, problems = read_records(tmp_path)
    assert [record.path for record in records] == [good]
    named = [Path(line.split(": ")[0]).name for line in problems]
    assert named == sorted([*bad, "bytes.json", "folder.json", "gone.json"])
    assert not any("\n" in line for line in problems)
    said = {Path(line.split(": ")[0]).name: line.partition(": ")[2] for line in problems}
    assert said["later.json"].startswith("schema=3: of a newer version, this version reads 2")
    assert said["older.json"].startswith("schema=1: of an older version, this version reads 2")
    assert said["strange.json"] == "schema='one': this version reads 2"
    assert said["half.json"].startswith("not JSON, or half-written")


def test_a_record_that_lacks_a_field_is_not_read_even_with_a_right_digest(tmp_path, make_fields):
    from evaluation import record_schema

    path = write_record(tmp_path, make_fields())
    fields = json.loads(path.read_text())
    del fields["digest"], fields["count"]
    fields["digest"] = record_schema.digest(fields)
    path.write_text(json.dumps(fields))
    assert "the field count is missing" in read_records(tmp_path)[1][0]


def test_several_directories_and_a_missing_one(tmp_path, make_fields):
    for seed, name in enumerate(("a", "b")):
        write_record(tmp_path / name, make_fields(seed=seed))
    assert len(read_records(tmp_path / "a", tmp_path / "b")[0]) == 2
    with pytest.raises(ValueError, match=r"results_dir=.*absent: there is no such directory; run "):
        read_records(tmp_path / "a", tmp_path / "absent")


def test_an_existing_file_is_never_overwritten(tmp_path, make_fields):
    path = write_record(tmp_path, make_fields())
    path.write_text("precious")
    with pytest.raises(OSError, match=r"cannot write mdlm-ppl-.*: File exists"):
        write_record(tmp_path, make_fields())
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_nothing(tmp_path, make_fields, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"results_dir=.*No space left on device"):
        write_record(tmp_path, make_fields())
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written(tmp_path, make_fields):
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"results_dir=.*file.*: cannot write mdlm-ppl-"):
            write_record(directory, make_fields())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission(tmp_path, make_fields):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match=r"results_dir=.*Permission denied"):
        write_record(tmp_path, make_fields())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": float("nan")}, "value=nan: a finite number"),
        ({"metrics": {"entropy": float("inf")}}, r"metrics\.entropy=inf: a finite number"),
        ({"config": {"grid": [1.0, -float("inf")]}}, r"config\.grid\.1=-inf"),
        ({"config": {"fn": print}}, r"config\.fn is a builtin_function_or_method"),
        ({"value": torch.ones(2)}, "value is a Tensor"),
        ({"value": "12"}, "value='12': a number from"),
        ({"count": True}, "count=True: a whole number from 1"),
        ({"seed": None}, "seed=None: a whole number from"),
        ({"sampler": []}, r"sampler=\[\]: a dict is required"),
        ({"kind": "bound"}, "kind='bound': one of exact, upper bound, estimate"),
        ({"network": {"parameters": None}}, r"network\.parameters=None: a whole number"),
        ({"created": "yesterday"}, "created='yesterday': a UTC time"),
        ({"created": "2026-01-31T12:00:00"}, "created=.*: a UTC time"),
        ({"created": "2026-01-31T12:00:00+01:00"}, "created=.*: a UTC time"),
        ({"digest": "0"}, "digest is added"),
        ({"note": "x"}, "note: a record has no such field"),
    ],
)
def test_fields_that_are_refused(tmp_path, make_fields, changes, message):
    with pytest.raises(ValueError, match=message):
        write_record(tmp_path, make_fields(**changes))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["metric", "stderr", "protocol", "hardware", "created"])
def test_a_missing_field_is_refused(tmp_path, make_fields, name):
    fields = make_fields()
    del fields[name]
    with pytest.raises(ValueError, match=f"the field {name} is missing"):
        write_record(tmp_path, fields)


def test_a_file_name_is_safe_whatever_the_names_are(tmp_path, make_fields):
    path = write_record(tmp_path, make_fields(algo="../é |", data={"name": "a/b " * 70}))
    assert path.parent == tmp_path
    assert path.name.startswith("x-ppl-a_b_a_b")
    assert len(path.name) < 150


def test_hardware_is_plain_and_says_what_ran(tmp_path, make_fields):
    described = hardware(torch.device("cpu"))
    assert described["torch"] == torch.__version__
    assert described["python"] == sys.version.split()[0]
    assert described["cpu"]
    assert described["threads"] == torch.get_num_threads()
    write_record(tmp_path, make_fields(hardware=described))


def test_the_processor_is_what_computed_beside_a_gpu_that_did_not(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    alone = hardware(torch.device("cpu"))
    assert (alone["gpu"], alone["gpus"]) == (None, 0)
    used = hardware(torch.device("cuda", 3))
    assert (used["gpu"], used["gpus"]) == ("a card", 1)
