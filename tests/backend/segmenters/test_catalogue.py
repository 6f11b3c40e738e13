"""The catalogue: one list for everyone, checked when it is read, and one version string for one way of answering."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from safetensors.numpy import save_file as save_arrays

from backend.errors import ModelError
from backend.inference.zoom_in import ZoomIn
from backend.segmenters import catalogue
from backend.segmenters.catalogue import Catalogue
from backend.segmenters.catalogue_entry import version_of
from backend.segmenters.weight_headers import METADATA_KEY

ROOT = Path(__file__).resolve().parents[3]
PLAIN = 'family = "f"\narchitecture = "a"\nlicence = "l"\nsource = "s"\n'
ABOUT = '{"family": "f", "architecture": "a", "recipes": [["R", "G", "B", "IR"]], "threshold": 0.4}'


def listed(folder: Path, table: str, *, default: str = "m") -> Catalogue:
    """A registry with one entry, "m"."""
    (folder / "registry.toml").write_text(f'default = "{default}"\n[m]\n{PLAIN}{table}\n')
    return Catalogue(folder)


def weight_file(path: Path, metadata: str = ABOUT) -> Path:
    import numpy as np

    save_arrays({"a": np.zeros(3, np.float32)}, path, metadata={METADATA_KEY: metadata})
    return path


# --- what it says


def test_it_is_read_without_torch() -> None:
    program = (
        "import sys; from backend.segmenters import catalogue; c = catalogue.shipped(); c.versions(); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_default_is_an_alias_of_an_entry() -> None:
    assert catalogue.entry("default") == catalogue.shipped().default
    assert catalogue.entry("default") in catalogue.entries()


def test_an_entry_that_says_little_is_used_as_most_are(tmp_path: Path) -> None:
    one = listed(tmp_path, "formula = {}").entry("m")
    assert (one.recipes, one.bands, one.threshold, one.zoom_in, one.flip) == ((("R", "G", "B"),), 3, 0.49, None, False)
    assert one.available


def test_bands_are_those_of_the_recipes(tmp_path: Path) -> None:
    assert listed(tmp_path, 'formula = {}\nrecipes = [["R", "G", "B", "IR"], ["IR", "R", "G", "L"]]').entry("m").bands == 4


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "either a file or a formula"),
        ('file = "x"\nformula = {}', "either a file or a formula"),
        ("formula = {}\nthresold = 0.4", "it has thresold, which means nothing here"),
        ("formula = {}\nthreshold = 1.5", "threshold is 1.5, expected a number between 0 and 1"),
        ("formula = { sead = 4 }", "sead"),
        ('formula = {}\nrecipes = [["R", "G", "B"], ["IR"]]', "all of the same number of bands"),
        ("formula = {}\nrecipes = []", "recipes are"),
        ('formula = {}\nrecipes = [["R", "G", "infrared"]]', "recipes name the bands infrared, expected letters of R, G"),
        ("formula = {}\ninput_size = [448]", "input_size"),
        ('formula = {}\nflip = "yes"', "flip is 'yes', expected true or false"),
        ("formula = {}\nzoom_in = { zoom = 3 }", "zoom"),
        ('formula = {}\nzoom_in = { target_size = "big" }', "zoom_in.target_size is 'big', expected a number"),
        ("formula = {}\nzoom_in = { target_size = [448] }", "zoom_in.target_size is (448,), expected a number, or two for the size"),
        ("formula = {}\nzoom_in = { expansion_ratio = nan }", "zoom_in.expansion_ratio is nan"),
        ("formula = {}\nrecipes = [[" + '"X", ' * 17 + "]]", "recipes name 17 bands, expected 16 at most"),
        ('file = "x"\nsha256 = "12"', "sha256 is '12', expected 64 hexadecimal digits"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused_and_named(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(ModelError, match=r"the entry m of registry\.toml cannot be read: .*see the head of that file") as caught:
        listed(tmp_path, table)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = ", "is not valid TOML"),
        ('default = "n"\n[m]\nformula = {}\n' + PLAIN, "the default is 'n', which it does not list; name one of m"),
        ('default = "m"\nversion = 3\n[m]\nformula = {}\n' + PLAIN, "has version outside of any entry"),
        ('default = "m"\n[m]\nformula = {}', "it lacks family, architecture, licence, source"),
    ],
)
def test_a_registry_that_cannot_be_read_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "registry.toml").write_text(text)
    with pytest.raises(ModelError, match=said):
        Catalogue(tmp_path)


def test_no_registry_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="it comes with the package; install it again"):
        Catalogue(tmp_path)


# --- names


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"no model 'vit_b'; known are default, .*ritm_tiny"):
        catalogue.entry("vit_b")


def test_what_is_here_may_be_asked_for_and_what_is_not_says_how_to_get_it() -> None:
    names = catalogue.shipped()
    for one in names.entries:
        if one.available:
            assert names.checked(one.name) == one.name
        else:
            with pytest.raises(ModelError, match="not on this machine") as caught:
                names.checked(one.name)
            assert names.unavailable()[one.name] in str(caught.value)


def test_available_and_unavailable_together_are_all_entries_in_order() -> None:
    names = catalogue.shipped()
    here = [version.partition("@")[0] for version in names.versions()]
    assert sorted([*here, *names.unavailable()]) == sorted(one.name for one in names.entries)


def test_only_who_starts_the_server_may_name_a_file(tmp_path: Path) -> None:
    names, file = listed(tmp_path, "formula = {}"), weight_file(tmp_path / "own.safetensors")
    assert names.checked(str(file), path_allowed=True) == str(file)
    with pytest.raises(ModelError, match="there is no model"):
        names.checked(str(file))


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("{}", "does not say which network"),
        ('{"family": "nope", "architecture": "a"}', "says that it is of the family 'nope', which there is not; known are f"),
        ('{"family": "f", "architecture": "a", "zoom_in": {"zoom": 3}}', "the metadata of .* cannot be read"),
        ('{"family": "f", "architecture": "a", "recipes": [["R"], []]}', "the metadata of .* cannot be read"),
        ('{"family": "f", "architecture": "a", "recipes": 3}', "the metadata of .* cannot be read"),
        ('{"family": "f", "architecture": "a", "threshold": "0.5"}', "the metadata of .* cannot be read"),
        ('{"family": "weight_files", "architecture": "a"}', "of the family 'weight_files', which there is not"),
        ("[" * 100_000, "does not say which network"),
    ],
)
def test_a_file_that_does_not_say_what_it_is_is_refused(tmp_path: Path, metadata: str, said: str) -> None:
    file = weight_file(tmp_path / "own.safetensors", metadata)
    with pytest.raises(ModelError, match=said):
        listed(tmp_path, "formula = {}").checked(str(file), path_allowed=True)


def test_a_files_metadata_wins_over_the_first_entry_of_its_architecture(tmp_path: Path) -> None:
    one = listed(tmp_path, "formula = {}\nzoom_in = { skip_clicks = 0 }\nflip = true").entry(str(weight_file(tmp_path / "own.safetensors")))
    assert (one.name, one.bands, one.threshold) == ("own", 4, 0.4)
    assert (one.zoom_in, one.flip) == (ZoomIn(skip_clicks=0), True)
    assert (one.licence, one.formula, one.checkpoint) == ("unknown", None, None)


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    names, file = listed(tmp_path, "formula = {}"), weight_file(tmp_path / "own.safetensors")
    before = names.version(str(file))
    weight_file(file, ABOUT.replace("0.4", "0.375"))
    os.utime(file, (0, 0))  # clocks of files are coarse, and both are of one size
    assert names.entry(str(file)).threshold == 0.375
    assert names.version(str(file)) != before


# --- versions


def test_a_version_is_the_name_the_weights_and_their_use(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"one")
    names = listed(tmp_path, 'file = "m.safetensors"')
    assert names.version("m").startswith(f"m@{hashlib.sha256(b'one').hexdigest()[:8]}-")
    assert names.version("m") == names.version("default") == Catalogue(tmp_path).version("m")


def test_a_version_changes_with_the_weights_and_with_every_setting_but_not_with_words() -> None:
    one = replace(catalogue.entry("ritm_tiny"), sha256="a" * 64)
    zoom = one.zoom_in
    assert zoom is not None
    other: dict[str, object] = {
        "target_size": 99, "skip_clicks": 2, "expansion_ratio": 2.0, "min_crop_size": 9, "recompute_thresh_iou": 0.9, "prob_thresh": 0.4,
        "first_window": 100, "first_looks": 2, "again_below": 0.1, "keep_stale_roi": True,
    }  # fmt: skip
    assert set(other) == {field.name for field in fields(ZoomIn)}
    changes: list[dict[str, object]] = [
        {"sha256": "b" * 64}, {"threshold": 0.4}, {"flip": True}, {"zoom_in": None}, {"recipes": (("IR", "R", "G"),)},
        {"architecture": "hrnet18"}, {"name": "other"}, *({"zoom_in": replace(zoom, **{name: value})} for name, value in other.items()),  # type: ignore[arg-type]
    ]  # fmt: skip
    versions = {version_of(one), *(version_of(replace(one, **change)) for change in changes)}  # type: ignore[arg-type]
    assert len(versions) == 1 + len(changes)
    assert version_of(replace(one, licence="other", source="elsewhere", download="https://x")) == version_of(one)


def test_generated_weights_have_a_version_of_their_formula(tmp_path: Path) -> None:
    versions = {listed(tmp_path, f"formula = {{ {formula} }}").version("m") for formula in ("", "seed = 5", 'mult = [["a", 2.0]]')}
    assert len(versions) == 3


def test_a_recorded_hash_spares_the_reading_of_the_weights(tmp_path: Path) -> None:
    assert listed(tmp_path, f'file = "gone.safetensors"\nsha256 = "{"01234567" * 8}"').version("m").startswith("m@01234567-")


def test_weights_are_hashed_once_until_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    real = hashlib.file_digest
    monkeypatch.setattr("hashlib.file_digest", lambda file, kind: reads.append(file.name) or real(file, kind))
    (tmp_path / "m.safetensors").write_bytes(b"one")
    names = listed(tmp_path, 'file = "m.safetensors"')
    assert {names.version("m") for _ in range(3)} == {names.versions()[0]}
    assert len(reads) == 1
    (tmp_path / "m.safetensors").write_bytes(b"other")
    names.version("m")
    assert len(reads) == 2
