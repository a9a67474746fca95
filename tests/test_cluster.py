"""Bulk prediction on a local Ray: the same rows out, and none lost with a worker."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import hub_core
from hub_core.cluster import Request, predict_on_ray
from hub_core.errors import SettingsError
from hub_core.examples import Example

TEXTS = ["新华社北京5月7日电", "他在上海", "😀 B5纸", "国务院副总理李岚清"]


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "RAY_BACKEND_LOG_LEVEL": "fatal"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    done = run(str(Path(__file__).with_name("cluster_program.py")), "3000", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    pid, left = said.pop("killed")
    assert pid > 0
    assert left > 1000
    assert said == {"answers": 3000, "same": True, "left": 0}


def test_the_command_line_prints_what_it_prints_without_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    command = ["-m", "hub_core", "predict", "-m", "bilstm-ner-zh", "--data", "texts.txt"]
    alone = run(*command, folder=tmp_path)
    done = run(*command, "--engine-cluster", "ray", "--workers", "1", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == alone.stdout
    # Ray tells that it was told to be quiet.
    assert all("RAY_BACKEND_LOG_LEVEL" in line for line in done.stderr.splitlines()), done.stderr
    assert len(done.stdout.splitlines()) == len(TEXTS)


def test_no_rows_need_no_cluster() -> None:
    assert list(predict_on_ray(Request("bilstm-ner-zh"), [])) == []


def test_a_request_loads_what_it_names() -> None:
    texts = ["新华社北京5月7日电"]
    predictor = Request("bilstm-ner-zh", engine="torch", dtype="float32").predictor()
    examples = [predictor.task.example(text) for text in texts]
    found = [predictor.task.as_data(answer) for answer in predictor.predict(examples)]
    assert found == hub_core.Module("bilstm-ner-zh").predict(texts, dtype="float32")


def test_what_can_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Example("好", units=("好",))]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    for given in (address, f"ray://{address}"):
        with pytest.raises(SettingsError, match=f"no Ray answers at {given}: Connection refused"):
            list(predict_on_ray(Request("bilstm-ner-zh"), rows, address=given))
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "ray" else found(name, *rest))
    with pytest.raises(SettingsError, match=r"needs the package ray; `pip install 'hub_core\[ray\]'` brings it"):
        list(predict_on_ray(Request("bilstm-ner-zh"), rows))


def test_cluster_options_without_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("好\n", encoding="utf-8")
    done = run("-m", "hub_core", "predict", "-m", "x", "--data", "texts.txt", "--workers", "2", folder=tmp_path)
    assert done.returncode == 2
    assert "--workers and --cluster-address belong to --engine-cluster ray" in done.stderr
