from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_core import addresses
from hub_core.addresses import HfAddress, hf_endpoint, origin, redact
from hub_core.errors import SourceError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("hf://org/repo@main/vocab.txt", HfAddress("org/repo", "main", "vocab.txt")),
        ("hf://gpt2@v1.0/a/b.txt", HfAddress("gpt2", "v1.0", "a/b.txt")),
        ("hf://o/r@refs%2Fpr%2F1/x%20y.txt", HfAddress("o/r", "refs/pr/1", "x y.txt")),
    ],
)
def test_addresses_at_hugging_face(url: str, address: HfAddress) -> None:
    assert HfAddress.parse(url) == address
    assert str(address) == url


@pytest.mark.parametrize(
    "url",
    [
        "hf://org/repo/vocab.txt",
        "hf://org/repo@main",
        "hf://a/b/c@main/x",
        "hf://o/r@main/../x",
        "hf://o/r@main/%2E%2E/x",
    ],
)
def test_addresses_that_are_not(url: str) -> None:
    with pytest.raises(SourceError, match=r"is not an address such as hf://org/repo@main/vocab.txt"):
        HfAddress.parse(url)


def test_the_endpoint_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    address = HfAddress("o/r", "refs/pr/1", "a b.txt")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert address.web == "https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/a%20b.txt"
    monkeypatch.setenv("HF_ENDPOINT", "http://hf.example/")
    assert hf_endpoint() == "http://hf.example"
    assert address.web.startswith("http://hf.example/o/r/resolve/")


def test_a_mirror_folder_has_no_revisions() -> None:
    address = HfAddress("o/r", "main", "a.txt")
    assert address.under("file:///mnt/hf/o/r/resolve/main/a.txt") == "file:///mnt/hf/o/r/a.txt"
    assert address.under("https://m.example/o/r/resolve/main/a.txt") == "https://m.example/o/r/resolve/main/a.txt"


def test_a_token_is_bound_to_scheme_host_and_port() -> None:
    assert origin("https://A.example/x") == origin("https://a.example:443/y")
    assert origin("https://a.example/x") != origin("http://a.example/x")
    assert origin("https://a.example/x") != origin("https://a.example:444/x")


def test_tokens_can_be_kept_from_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    assert addresses.hf_token() == "hf_secret"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    assert addresses.hf_token() is None


@given(st.text("abc", min_size=3), st.text("XYZ019", min_size=8))
def test_secrets_are_never_shown(user: str, secret: str) -> None:
    shown = redact(f"https://{user}:{secret}@a.example/file.bin?sig={secret}#{secret}")
    assert shown == "https://***@a.example/file.bin?***"
