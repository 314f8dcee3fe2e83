import hashlib
import math
import os

import numpy as np
import pytest
import torch

from integral import cache
from integral.cache import compute, file_name, table
from integral.quadrature import HIGH, LOW, integrals
from integral.transformation import Transformation
from tests.integral.reference import VOCABULARIES, quadrature

SMALLEST = 1e-300  # what lies below is a number without its precision


@pytest.fixture
def gamma():
    torch.manual_seed(4)
    anywhere = LOW + (HIGH - LOW) * torch.rand(4000, dtype=torch.float64)
    nodes = torch.linspace(LOW, HIGH, 33, dtype=torch.float64)
    return torch.cat([anywhere, nodes, nodes[1:] - 1e-13])


def tangent(function, gamma):
    return torch.func.jvp(function, (gamma,), (torch.ones_like(gamma),))


@pytest.mark.parametrize("size", VOCABULARIES)
def test_table_equals_the_quadrature_between_its_nodes(size, gamma, tmp_path):
    transformation = Transformation(size, tmp_path)
    exact = integrals(gamma, size)
    keep, slope = tangent(transformation, gamma)
    torch.testing.assert_close(keep, exact.log_keep.exp(), rtol=2e-13, atol=0)
    torch.testing.assert_close(slope, -exact.log_slope.exp(), rtol=5e-11, atol=SMALLEST)


def test_reverse_mode_and_forward_mode_are_one_derivative(gamma):
    transformation = Transformation(50257)
    gamma = gamma[::50].requires_grad_()
    (backward,) = torch.autograd.grad(transformation(gamma).sum(), gamma)
    torch.testing.assert_close(backward, tangent(transformation, gamma.detach())[1])


@pytest.mark.parametrize("size", [2, 27, 50257])
@pytest.mark.parametrize("keep", [0.999, 0.95, 0.5, 0.05, 0.02])
def test_the_gamma_that_keeps_so_much(size, keep, tmp_path):
    gamma = Transformation(size, tmp_path).gamma_at(keep)
    found, _ = quadrature(torch.tensor([gamma], dtype=torch.float64), size)
    assert abs(float(found) - keep) < 1e-12


def test_the_nearest_gamma_where_none_of_the_domain_keeps_so_much():
    assert Transformation(2).gamma_at(0.001) == 8
    assert Transformation(50257).gamma_at(1 - 1e-16) > -8


@pytest.mark.parametrize("keep", [0.0, 1.0, -1.0, 1.5, math.nan])
def test_no_gamma_keeps_nothing_or_all(keep):
    with pytest.raises(ValueError, match="keep="):
        Transformation(50257).gamma_at(keep)


def test_keep_falls_everywhere_and_shapes_pass_through():
    transformation = Transformation(30521)
    fine = torch.linspace(-6, HIGH, 20_001, dtype=torch.float64)
    keep, slope = tangent(transformation, fine)
    assert (keep.diff() <= 0).all() and (slope < 0).all()
    for shape in [(), (0,), (3,), (2, 3)]:
        value = transformation(torch.zeros(shape))
        assert value.shape == shape and value.dtype == torch.float64


@pytest.mark.parametrize("gamma", [-8.1, 8.1, math.nan])
def test_outside_the_domain_is_refused_also_under_jvp(gamma):
    with pytest.raises(ValueError, match="gamma="):
        tangent(Transformation(50257), torch.tensor([0.0, gamma], dtype=torch.float64))


def test_one_token_is_refused(tmp_path):
    with pytest.raises(ValueError, match="vocab_size=1"):
        Transformation(1, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [30521, 30522, 50257])
def test_shipped_tables_are_what_the_quadrature_gives(size, tmp_path):
    stored, source = table(size, tmp_path)
    assert source.startswith("shipped") and not list(tmp_path.iterdir())
    # Not bit for bit: exp and erfc differ in their last bit between processors, which the second
    # derivative along the table shows as 1e-10.
    np.testing.assert_allclose(stored, compute(size), rtol=1e-9, atol=1e-12)


def test_shipped_tables_are_small_plain_arrays():
    files = [cache.SHIPPED_FOLDER / file_name(size) for size in cache.SHIPPED]
    assert sum(path.stat().st_size for path in files) < 2**20
    for path in files:
        assert np.load(path, allow_pickle=False).shape == (3, cache.POINTS)


def test_another_vocabulary_is_computed_once_and_then_read(tmp_path, monkeypatch):
    first, source = table(300, tmp_path / "new")
    assert source.startswith("computed, kept in")
    monkeypatch.setattr(cache, "compute", None)
    again, source = table(300, tmp_path / "new")
    assert source.startswith("cached in") and np.array_equal(first, again)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [file_name(300)]


@pytest.mark.parametrize("name", ["LOW", "HIGH", "PER_UNIT", "NODES", "FROM", "TO", "RULE"])
def test_the_key_knows_all_that_a_table_depends_on(name, monkeypatch):
    before = file_name(300)
    assert before != file_name(301)
    monkeypatch.setattr(cache, name, getattr(cache, name) + 1)
    assert file_name(300) != before


def middle_byte(content):
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGE = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[:-100],
    "without checksum": lambda content: content[:-32],
    "one bit": middle_byte,
    "another file": lambda content: b"\x80\x04N." * 100,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_file_is_computed_anew_and_repaired(damage, tmp_path):
    good, _ = table(300, tmp_path)
    path = tmp_path / file_name(300)
    content = path.read_bytes()
    path.write_bytes(damage(content))
    again, source = table(300, tmp_path)
    assert source.startswith("computed, kept") and np.array_equal(good, again)
    assert path.read_bytes() == content


def test_what_is_no_table_is_computed_anew(tmp_path):
    """Under a right checksum, and where nothing can be read at all."""
    path = tmp_path / file_name(300)
    for array in (np.ones(3), np.ones((3, cache.POINTS), np.float32)):
        cache.write(path, array)
        assert table(300, tmp_path)[1].startswith("computed, kept")
    path.write_bytes(b"x" + hashlib.sha256(b"x").digest())
    assert table(300, tmp_path)[1].startswith("computed, kept")
    path.unlink()
    os.mkfifo(path)
    assert table(300, tmp_path)[1].startswith("computed, kept")


def test_a_damaged_shipped_table_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SHIPPED_FOLDER", tmp_path / "shipped")
    shipped = tmp_path / "shipped" / file_name(50257)
    cache.write(shipped, compute(50257))
    shipped.write_bytes(middle_byte(shipped.read_bytes()))
    assert table(50257, tmp_path)[1].startswith("computed, kept")


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    array, source = table(300, tmp_path / "file")
    assert source.startswith("computed, not kept") and np.array_equal(array, compute(300))


@pytest.mark.parametrize("owner, name", [(os, "fsync"), (cache.Path, "replace")])
def test_a_full_disk_leaves_what_was_there(owner, name, tmp_path, monkeypatch):
    path = tmp_path / file_name(300)
    path.write_bytes(b"older")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(owner, name, full)
    assert table(300, tmp_path)[1].startswith("computed, not kept: [Errno 28]")
    assert path.read_bytes() == b"older" and list(tmp_path.iterdir()) == [path]


def test_a_user_without_a_home_stops_nothing(monkeypatch):
    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache.Path, "expanduser", homeless)
    assert table(300)[1].startswith("computed, not kept")


def test_the_default_folder_is_under_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert table(300)[1].endswith(file_name(300))
    folder = tmp_path / ".cache" / "discrete-diffusion" / "integral"
    assert (folder / file_name(300)).exists()
