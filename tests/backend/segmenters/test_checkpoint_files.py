"""The authors' formats are read, and nothing in a file is ever run."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from collections import OrderedDict

import pytest
import torch
from authors_files import forget, loss_object
from safetensors.torch import save_file

from backend.errors import ModelError
from backend.segmenters.checkpoint_files import read_checkpoint

TENSORS = OrderedDict(a=torch.arange(6.0).reshape(2, 3), b=torch.tensor(4))
CONFIG = {"class": "isegm.model.is_hrnet_model.HRNetModel", "params": {"width": {"type": "builtin", "value": 18, "specified": True}}}


class Malicious:
    """What it calls when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture(params=["archive", "before torch 1.6"])
def save(request, tmp_path):
    path = tmp_path / "file.pth"

    def write(content):
        torch.save(content, path, _use_new_zipfile_serialization=request.param == "archive")
        return path

    return write


def test_a_state_dict_beside_its_config(save):
    (checkpoint,) = read_checkpoint(save({"state_dict": TENSORS, "config": CONFIG}))
    assert list(checkpoint.tensors) == ["a", "b"]
    assert all(torch.equal(checkpoint.tensors[name], tensor) for name, tensor in TENSORS.items())
    assert checkpoint.params == {"width": 18}


def test_a_plain_state_dict(save):
    (checkpoint,) = read_checkpoint(save(TENSORS))
    assert torch.equal(checkpoint.tensors["a"], TENSORS["a"])
    assert (checkpoint.config, checkpoint.params) == (None, {})


def test_a_list_of_networks_one_for_each_click(save):
    parts = read_checkpoint(save([{"state_dict": {"a": torch.full((1,), float(n))}, "config": CONFIG} for n in range(3)]))
    assert [float(part.tensors["a"]) for part in parts] == [0, 1, 2]


def test_simpleclicks_loss_object_is_read_without_its_code(tmp_path, monkeypatch):
    path = tmp_path / "file.pth"  # an archive: its authors' torch wrote nothing else
    config = {
        "class": "x",
        "params": {"head_params": {"type": "builtin", "value": {"loss_decode": loss_object(monkeypatch), "upsample": "x1"}}},
    }
    torch.save({"state_dict": TENSORS, "config": config}, path)
    forget(monkeypatch)
    (checkpoint,) = read_checkpoint(path)
    assert checkpoint.params["head_params"]["upsample"] == "x1"
    assert not any(name.startswith("isegm") for name in sys.modules)


@pytest.mark.parametrize(
    "function",
    [os.system, subprocess.check_output, eval, exec, pickle.loads, torch.load, torch.hub.load, getattr],
    ids=lambda function: function.__qualname__,
)
def test_a_file_that_calls_something_is_refused_and_nothing_is_called(save, tmp_path, function):
    proof = tmp_path / "proof"
    path = save({"state_dict": {"a": Malicious(function, f"touch {proof}")}, "config": CONFIG})
    with pytest.raises(ModelError, match=r"asks to use \S+ while it is read.*nothing of it was run") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not proof.exists()


def test_the_guards_hold_one_without_the_other(save, tmp_path, monkeypatch):
    """Were a name missed by the list, torch would still refuse it."""
    proof = tmp_path / "proof"
    path = save(Malicious(os.system, f"touch {proof}"))
    monkeypatch.setattr("backend.segmenters.checkpoint_files._globals", lambda path: (set(), None))
    with pytest.raises(ModelError, match="it holds more than weights"):
        read_checkpoint(path)
    assert not proof.exists()


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_a_bare_pickle_of_any_protocol_is_refused_unrun(tmp_path, protocol):
    proof, path = tmp_path / "proof", tmp_path / "file.pth"
    path.write_bytes(pickle.dumps(Malicious(os.system, f"touch {proof}"), protocol=protocol))
    with pytest.raises(ModelError, match="asks to use" if protocol else "no checkpoint"):
        read_checkpoint(path)
    assert not proof.exists()


def test_a_second_pickle_in_the_archive_is_looked_at_too(save, tmp_path):
    path = save(TENSORS)
    if not zipfile.is_zipfile(path):
        pytest.skip("archives only")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("file/more.pkl", pickle.dumps(Malicious(os.system, "true"), protocol=2))
    with pytest.raises(ModelError, match=r"asks to use posix.system"):
        read_checkpoint(path)


@pytest.mark.parametrize("kept", [0, 1, 20, 0.3, 0.6, 0.9, -1])
def test_a_file_cut_short_is_refused(save, kept):
    path = save({"state_dict": {"a": torch.arange(3000.0)}, "config": CONFIG})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(ModelError, match=r"damaged or cut short|no checkpoint|is empty") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "file.pth"
    torch.save({"state_dict": {"a": torch.arange(3000.0)}, "config": CONFIG}, path)
    content = bytearray(path.read_bytes())
    place = content.index(torch.arange(100.0, 110.0).numpy().tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged or cut short \(the checksum of .*data/0 is wrong\)"):
        read_checkpoint(path)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "file.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("file/data.pkl", b"\x80\x02}." + bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(ModelError, match=r"compressed, which torch never does; .* unpacked first"):
        read_checkpoint(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_members_that_lie_in_each_other_are_refused_before_they_are_read(tmp_path):
    """One stored member that the archive's directory names a hundred times: a hundred times the file's length to be read."""
    path = tmp_path / "file.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("file/data.pkl", b"\x80\x02}." + bytes(100_000))
        archive.filelist *= 100
    assert path.stat().st_size < 120_000
    with pytest.raises(ModelError, match="its parts together are longer than the file"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"7z\xbc\xaf\x27\x1c...", "a 7z archive.*unpack it, all parts together"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"", "is empty; expected a checkpoint"),
        (b"hello, world", "begins with b'hello, w'"),
        (b"\x80\x02" + bytes(50), "damaged"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path, content, said):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=said):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "holds a list"),
        (3, "holds a int"),
        ({"state_dict": {}}, "holds a dict"),
        ({"epoch": 3, "a": torch.zeros(1)}, "holds int under epoch"),
        ({"state_dict": {"a": [torch.zeros(1)]}}, "holds list under a"),
    ],
)
def test_a_file_without_a_state_dict_is_refused(save, content, said):
    with pytest.raises(ModelError, match=said):
        read_checkpoint(save(content))


def test_a_missing_file_and_a_converted_one_are_named(tmp_path):
    with pytest.raises(ModelError, match="there is no file"):
        read_checkpoint(tmp_path / "x.pth")
    save_file({"a": torch.zeros(3)}, tmp_path / "x.safetensors")
    for name in ("x.safetensors", "renamed.pth"):
        with pytest.raises(ModelError, match="is a safetensors file, so either converted already"):
            read_checkpoint((tmp_path / "x.safetensors").rename(tmp_path / name))
        (tmp_path / name).rename(tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="is a folder; expected a checkpoint"):
        read_checkpoint(tmp_path)


def test_a_tensor_on_another_device_comes_to_the_cpu(tmp_path):
    """The device is a word in the file; published ones were saved on GPUs."""
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, buffer, _use_new_zipfile_serialization=False)
    path = tmp_path / "file.pth"
    assert buffer.getvalue().count(b"\x03\x00\x00\x00cpu") == 1
    path.write_bytes(buffer.getvalue().replace(b"\x03\x00\x00\x00cpu", b"\x06\x00\x00\x00cuda:0"))
    (checkpoint,) = read_checkpoint(path)
    assert checkpoint.tensors["a"].device.type == "cpu"
