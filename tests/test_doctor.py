"""`hub doctor`: what it finds on a sound machine, and on ones that are broken in every way it knows."""

from __future__ import annotations

import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from command_line import Hub
from folders import module_folder

from hub_core import doctor, hookspecs, plugins, probes
from hub_core.doctor import Finding, examine
from hub_core.errors import HubError
from hub_core.hookspecs import hookimpl
from hub_core.installation import install
from hub_core.torch_engine import has_bfloat16

WORKING: dict[str, Any] = {"found": "computes on cpu", "devices": [{"name": "cpu", "about": "AVX2", "bfloat16": False}]}


@pytest.fixture
def hub(capsys: pytest.CaptureFixture[str]) -> Hub:
    return Hub(capsys)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that are taken to work: what else is looked at needs no processes."""
    monkeypatch.setattr(doctor, "_probe", lambda name: (Finding("engines", name, "ok", "works"), WORKING))


def finding(group: str, name: str) -> Finding:
    (found,) = (row for row in examine() if (row.group, row.name) == (group, name))
    return found


class TestEngines:
    def test_they_really_compute(self, hub: Hub) -> None:
        """The one test with real processes: everything that this environment is made of works."""
        outcome = hub("doctor", "--json")
        found = {(row["group"], row["name"]): row for row in outcome.json["findings"]}
        assert outcome.json["healthy"] is True
        for engine in ("torch", "transformers", "onnx", "openvino"):
            assert found["engines", engine]["state"] == "ok", found["engines", engine]
        import torch

        assert found["devices", "cpu"]["found"].startswith(torch.backends.cpu.get_cpu_capability())
        native = "auto computes in bfloat16" in found["devices", "cpu"]["found"]
        assert native == has_bfloat16(torch.device("cpu"))
        assert (("devices", "cuda") in found) != torch.cuda.is_available()

    def test_the_graph_is_a_valid_one_and_means_what_it_says(self) -> None:
        import onnx
        from onnx.reference import ReferenceEvaluator

        model = onnx.load_from_string(probes.GRAPH)
        onnx.checker.check_model(model, full_check=True)
        (product,) = ReferenceEvaluator(model).run(None, {"x": np.array(probes._INPUT, np.float32)})
        assert product.tolist() == probes._PRODUCT == (np.array(probes._INPUT) @ np.array(probes._WEIGHT)).tolist()

    @pytest.mark.parametrize("engine", ["onnx", "openvino", "torch"])
    def test_each_says_what_it_found(self, engine: str) -> None:
        assert probes.PROBES[engine]()["found"]

    def test_wrong_products_are_noticed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(probes, "_WEIGHT", [[1.0, 2.0], [3.0, 5.0]])
        with pytest.raises(ArithmeticError, match=r"is \[\[4.0, 7.0\]\], and should be \[\[4.0, 6.0\]\]"):
            probes.probe_torch()

    @pytest.mark.parametrize(
        ("program", "said"),
        [
            ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "its process was ended by SIGILL: this build"),
            ("raise ImportError('libx.so.1: no such file')", "ImportError: libx.so.1: no such file"),
            ("raise SystemExit(3)", "exit code 3"),
            ("import time; time.sleep(60)", "has not answered within 1 s"),
        ],
    )
    def test_engines_that_fail(self, monkeypatch: pytest.MonkeyPatch, program: str, said: str) -> None:
        run = subprocess.run

        def broken(command: list[str], **options: Any) -> Any:
            return run([sys.executable, "-c", program], **options)

        monkeypatch.setattr(subprocess, "run", broken)
        monkeypatch.setattr(doctor, "PATIENCE", 1 if "sleep" in program else 60)
        for engine, state in (("onnx", "broken"), ("openvino", "warning")):
            found, told = doctor._probe(engine)
            assert (found.state, told) == (state, {})
            assert found.found.startswith(said)
            assert found.remedy.startswith("pip install")

    def test_engines_that_are_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        states = {name: doctor._probe(name)[0].state for name in ("torch", "onnx", "openvino")}
        assert states == {"torch": "broken", "onnx": "broken", "openvino": "absent"}

    def test_devices_as_torch_tells_them(self) -> None:
        gpu = {"name": "cuda:0", "about": "NVIDIA H200, 140 GiB", "bfloat16": True}
        rows = list(doctor._devices({"devices": [*WORKING["devices"], gpu]}))
        assert [(row.name, row.state, row.found) for row in rows] == [
            ("cpu", "ok", "AVX2; auto computes in float32"),
            ("cuda:0", "ok", "NVIDIA H200, 140 GiB; auto computes in bfloat16"),
        ]
        assert [row.state for row in doctor._devices(WORKING)] == ["ok", "absent"]
        assert list(doctor._devices({})) == []


@pytest.mark.usefixtures("quick")
class TestPackages:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Let hub_core ask for other packages than it does."""

        def arrange(*requirements: str, extras: tuple[str, ...] = ()) -> None:
            monkeypatch.setattr(metadata, "requires", lambda name: list(requirements))
            about = SimpleNamespace(get_all=lambda key: list(extras))
            monkeypatch.setattr(metadata, "metadata", lambda name: about)

        return arrange

    def test_versions_are_compared(self, asked: Callable[..., None]) -> None:
        asked("numpy>=1", "click>=99", "no-such-package>=2,<3")
        assert finding("packages", "numpy") == Finding("packages", "numpy", "ok", metadata.version("numpy"))
        old = finding("packages", "click")
        assert (old.state, old.found) == ("broken", f"{metadata.version('click')}, which is not >=99")
        assert old.remedy == "pip install 'click>=99'"
        missing = finding("packages", "no-such-package")
        assert (missing.state, missing.found) == ("broken", "not installed")
        assert missing.remedy == "pip install 'no-such-package<3,>=2'"

    def test_extras_are_no_must(self, asked: Callable[..., None]) -> None:
        asked(
            'numpy>=1; extra == "good"',
            'nowhere>=1; extra == "lacking"',
            'click>=99; extra == "old"',
            'hub_core[good]; extra == "old"',
            'nowhere>=1; extra == "dev"',
            extras=("good", "lacking", "old", "dev"),
        )
        assert finding("packages", "[good]").state == "ok"
        lacking = finding("packages", "[lacking]")
        assert (lacking.state, lacking.found) == ("absent", "nowhere not installed")
        assert lacking.remedy == "pip install 'hub_core[lacking]'"
        assert finding("packages", "[old]").state == "warning"
        assert "asked for: click>=99" in finding("packages", "[old]").found
        assert "[dev]" not in {row.name for row in examine()}

    def test_run_from_a_checkout(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def absent(name: str) -> None:
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "requires", absent)
        assert "not installed as a package" in finding("packages", "hub_core").found
        assert finding("packages", "torch").found.startswith("2.")


@pytest.mark.usefixtures("quick")
class TestPlaces:
    def test_a_home_that_is_not_there_yet(self, hub_home: Path) -> None:
        found = finding("places", "HUB_HOME")
        assert (found.state, found.found.endswith("made when it is needed")) == ("ok", True)
        assert not hub_home.exists()

    def test_a_home_that_cannot_be_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("HUB_HOME", str(tmp_path / "file"))
        found = finding("places", "HUB_HOME")
        assert found.state == "broken"
        assert "cannot be written: Not a directory" in found.found
        assert found.remedy == "set HUB_HOME to a folder that you can write to"

    def test_little_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr("shutil.disk_usage", lambda place: usage(1, 1, 1 << 20))
        found = finding("places", "HUB_HOME")
        assert (found.state, "1.0 MiB free" in found.found) == ("warning", True)

    def test_modules_and_caches(self, tmp_path: Path, hub_home: Path) -> None:
        install(module_folder(tmp_path / "m"))
        (hub_home / "modules" / "other" / "1.0").mkdir(parents=True)
        (hub_home / "cache" / "jieba").mkdir(parents=True)
        (hub_home / "cache" / "jieba" / "words").write_bytes(bytes(2048))
        assert finding("places", "modules").found.startswith("1 installed, ")
        broken = finding("places", str(hub_home / "modules" / "other" / "1.0"))
        assert (broken.state, "has no module.json" in broken.found) == ("warning", True)
        cache = finding("places", "cache jieba")
        assert (cache.found, cache.remedy) == ("2.0 KiB: jieba's dictionary, quick to read", "hub clear jieba")

    def test_the_folder_of_data_sets(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HUB_DATA_HOME", str(tmp_path / "nowhere"))
        assert finding("places", "HUB_DATA_HOME").state == "warning"
        monkeypatch.setenv("HUB_DATA_HOME", str(tmp_path))
        assert finding("places", "HUB_DATA_HOME").state == "ok"

    def test_a_program_without_its_modules(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(name: str) -> Path:
            raise HubError(f"the bundled {name!r} is missing")

        monkeypatch.setattr(doctor, "bundled", missing)
        assert finding("places", "bundled modules").state == "broken"


@pytest.mark.usefixtures("quick")
class TestSettings:
    def test_what_is_in_force(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HUB_MIRRORS", "https://a.example=file:///a")
        monkeypatch.setenv("HUB_OFFLINE", "1")
        assert finding("settings", "mirrors").found == "https://a.example=file:///a ($HUB_MIRRORS)"
        assert finding("settings", "network").found == "HUB_OFFLINE is set: nothing is fetched"

    def test_what_cannot_be_understood(self, hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HUB_MIRRORS", "nonsense")
        assert finding("settings", "mirrors").state == "broken"
        hub_home.mkdir()
        for name in ("config.json", "trust.json", "pins.json"):
            (hub_home / name).write_text("{")
        for name in ("server", "trust.json", "pins.json"):
            found = finding("settings", name)
            assert (found.state, "cannot be read" in found.found) == ("broken", True)


class Rude:
    """A plugin whose parts fail when they are used."""

    @hookimpl
    def hub_entries(self, kind: str) -> dict[str, str]:
        """One entry that is nowhere."""
        return {"nowhere": "no.such.module:Name"} if kind == "task" else {}

    @hookimpl
    def hub_commands(self, cli: click.Group) -> None:
        """Fail."""
        raise RuntimeError("no")


class Taker:
    """A plugin that takes a name of the hub's own."""

    @hookimpl
    def hub_entries(self, kind: str) -> dict[str, str]:
        """A task of core's."""
        return {"seq-cls": "hub_core.errors:HubError"} if kind == "task" else {}


@pytest.mark.usefixtures("quick")
class TestPlugins:
    @pytest.fixture
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        def arrange(**found: Any) -> None:
            manager = plugins.pluggy.PluginManager(hookspecs.PROJECT)
            manager.add_hookspecs(hookspecs)
            manager.register(plugins.builtins, name="hub_core")
            states = []
            for name, plugin in found.items():
                error = plugin if isinstance(plugin, str) else None
                states.append(plugins.PluginState(name, f"dist-{name}", error))
                if error is None:
                    manager.register(plugin, name=name)
            for module in (plugins, doctor):
                monkeypatch.setattr(module, "manager", lambda: manager)
                monkeypatch.setattr(module, "plugin_report", lambda: states)

        return arrange

    def test_none(self, installed: Callable[..., None]) -> None:
        installed()
        assert finding("plugins", "-").found == "none installed"

    def test_broken_ones_are_warnings(self, hub: Hub, installed: Callable[..., None]) -> None:
        installed(rude=Rude(), bad="ImportError: no module named x", good=object())
        assert (finding("plugins", "rude").state, finding("plugins", "rude").found) == ("warning", "RuntimeError: no")
        assert finding("plugins", "bad").remedy == "bring dist-bad up to date, or `pip uninstall dist-bad`"
        assert finding("plugins", "good") == Finding("plugins", "good", "ok", "works")
        assert finding("plugins", "task nowhere").found == "ModuleNotFoundError: No module named 'no'"
        outcome = hub("doctor")
        assert outcome.code == 0
        assert "warning: plugins: bad: ImportError: no module named x\n  remedy: bring dist-bad up to" in outcome.out
        assert outcome.out.endswith("\neverything that is needed works\n")

    def test_two_owners_of_one_name(self, hub: Hub, installed: Callable[..., None]) -> None:
        installed(taker=Taker())
        assert "is registered by both hub_core and taker" in finding("plugins", "task").found
        outcome = hub("doctor")
        assert outcome.code == 1
        assert outcome.out.endswith("\nsomething that is needed is broken\n")
        assert hub("doctor", "--json").code == 1


def test_the_processes_find_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is neither installed nor in the folder that the program runs in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert doctor._probe("onnx")[0].state == "ok"
