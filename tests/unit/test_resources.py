"""Shipped files are found by bare name, from any folder."""

from __future__ import annotations

import pytest

from archsim.errors import ConfigError, TraceError
from archsim.resources import find_config, find_trace, list_configs


def test_a_shipped_name_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("h100_sxm").is_file()
    assert "h100_sxm" in list_configs()


def test_an_existing_file_is_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("")
    assert find_config("mine.yaml").resolve() == tmp_path / "mine.yaml"


def test_relative_to_comes_first(tmp_path):
    (tmp_path / "mine.yaml").write_text("")
    assert find_config("mine.yaml", relative_to=tmp_path) == tmp_path / "mine.yaml"


def test_a_shipped_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t4").mkdir()
    assert find_config("t4").suffix == ".yaml"


@pytest.mark.parametrize(
    ("find", "name", "error", "text"),
    [
        (find_config, "rtx_3800", ConfigError, "nearest: .*rtx_3080"),
        (find_config, "none/there.yaml", ConfigError, "none/there.yaml: no such file"),
        (find_trace, "none.h5", TraceError, "none.h5: no such file"),
        (find_trace, "no_such_trace", TraceError, "neither a file nor a shipped name"),
    ],
)
def test_what_is_missing_is_said(find, name, error, text):
    with pytest.raises(error, match=text):
        find(name)
