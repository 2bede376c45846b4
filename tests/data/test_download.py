"""The download, against a web server on this machine that behaves and misbehaves."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torchvision

import spikemnist.data.download
from spikemnist.data import load_fashion_mnist, load_mnist
from spikemnist.data.archive import cache_folder
from tests.data.idx_files import FILES, encode, small_set, write_set

pytestmark = pytest.mark.slow

SMALL = small_set()
PACKED = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in SMALL.items()}


class Mirror(ThreadingHTTPServer):
    """Serves ``files`` under ``/``; ``faults`` maps a name to what goes wrong with it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(PACKED)
        self.faults = {}
        self.asked = []
        self.half_sent = threading.Event()
        self.go_on = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/")
        self.server.asked.append(name)
        fault = self.server.faults.get(name)
        body = self.server.files.get(name)
        if fault == "404" or body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "wrong":
            body = bytes(len(body))
        if fault in ("truncated", "stalled"):
            body = body[: len(body) // 2]
        self.wfile.write(body)
        if fault == "stalled":
            self.wfile.flush()
            self.server.half_sent.set()
            self.server.go_on.wait(60)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Start mirrors; they end with the test."""
    running = []

    def start():
        mirror = Mirror()
        thread = threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((mirror, thread))
        return mirror

    yield start
    for mirror, thread in running:
        mirror.go_on.set()
        mirror.shutdown()
        thread.join()
        mirror.server_close()


@pytest.fixture
def fashion(monkeypatch):
    """torchvision's Fashion-MNIST, with the small set's hashes and no mirrors yet."""
    dataset = torchvision.datasets.FashionMNIST
    hashes = [(n, hashlib.md5(b, usedforsecurity=False).hexdigest()) for n, b in PACKED.items()]
    monkeypatch.setattr(dataset, "resources", hashes)
    monkeypatch.setattr(dataset, "mirrors", [])
    return dataset


def check(train, test):
    assert encode(train.images) == SMALL[FILES[0]]
    assert encode(test.images) == SMALL[FILES[2]]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_download_into_the_root_once(tmp_path, serve, fashion):
    mirror = serve()
    fashion.mirrors.append(mirror.url)
    check(*load_fashion_mnist(tmp_path))
    assert names(tmp_path / "FashionMNIST" / "raw") == sorted(PACKED)
    assert sorted(mirror.asked) == sorted(PACKED)
    check(*load_fashion_mnist(tmp_path))
    check(*load_fashion_mnist(tmp_path, download=False))
    assert len(mirror.asked) == 4


def test_download_into_the_cache(tmp_path, monkeypatch, serve, fashion):
    fashion.mirrors.append(serve().url)
    monkeypatch.setenv("SPIKEMNIST_DATA", str(tmp_path / "nothing here"))
    check(*load_fashion_mnist())
    assert names(cache_folder() / "FashionMNIST" / "raw") == sorted(PACKED)
    assert not (tmp_path / "nothing here").exists()


def test_only_absent_files_are_downloaded(tmp_path, serve, fashion):
    mirror = serve()
    fashion.mirrors.append(mirror.url)
    write_set(tmp_path / "FashionMNIST" / "raw", {n: SMALL[n] for n in FILES[:3]}, packed=False)
    check(*load_fashion_mnist(tmp_path))
    assert mirror.asked == [f"{FILES[3]}.gz"]


@pytest.mark.parametrize("fault", ["404", "truncated", "wrong"])
def test_the_next_mirror_helps_out(tmp_path, serve, fashion, fault):
    bad, good = serve(), serve()
    bad.faults[f"{FILES[1]}.gz"] = fault
    fashion.mirrors.extend([bad.url, good.url.rstrip("/")])
    check(*load_fashion_mnist(tmp_path))
    assert good.asked == [f"{FILES[1]}.gz"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("404", "HTTP Error 404"), ("truncated", "IncompleteRead"), ("wrong", "wrong content")],
)
def test_when_no_mirror_has_it(tmp_path, serve, fashion, fault, reason):
    mirror = serve()
    mirror.faults[f"{FILES[2]}.gz"] = fault
    fashion.mirrors.append(mirror.url)
    with pytest.raises(ConnectionError) as caught:
        load_fashion_mnist(tmp_path)
    assert f"{mirror.url}{FILES[2]}.gz: {reason}" in str(caught.value)
    assert names(tmp_path / "FashionMNIST" / "raw") == sorted(f"{n}.gz" for n in FILES[:2])
    # Once the mirror has recovered, the rest follows.
    mirror.faults.clear()
    check(*load_fashion_mnist(tmp_path))


@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist])
def test_without_a_network(tmp_path, load):
    name = "MNIST" if load is load_mnist else "FashionMNIST"
    with pytest.raises(ConnectionError) as caught:
        load(tmp_path)
    message = str(caught.value)
    for file in FILES:
        assert f"{file}.gz" in message
    assert "http://127.0.0.1:9/" in message
    assert f"put them into {tmp_path / name / 'raw'}" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []  # no empty folder stays


def test_a_silent_mirror_times_out(tmp_path, monkeypatch, serve, fashion):
    monkeypatch.setattr(spikemnist.data.download, "_TIMEOUT", 0.2)
    mirror = serve()
    mirror.faults[f"{FILES[0]}.gz"] = "stalled"
    fashion.mirrors.append(mirror.url)
    with pytest.raises(ConnectionError, match="timed out"):
        load_fashion_mnist(tmp_path)


def test_a_wrong_mnist_is_refused(tmp_path, monkeypatch, serve):
    mirror = serve()
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [mirror.url])
    with pytest.raises(
        ConnectionError, match=r"wrong content.*unpacked SHA-256.*expected ba891046"
    ):
        load_mnist(tmp_path)
    mirror.files[f"{FILES[0]}.gz"] = PACKED[f"{FILES[0]}.gz"][:-20]
    with pytest.raises(ConnectionError, match="damaged or truncated gzip"):
        load_mnist(tmp_path)


def test_full_mnist_packed_anew_is_taken(tmp_path, monkeypatch, serve, mnist_root):
    mirror = serve()
    raw = mnist_root / "MNIST" / "raw"
    mirror.files = {f"{name}.gz": (raw / f"{name}.gz").read_bytes() for name in FILES}
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [mirror.url])
    train, test = load_mnist(tmp_path)
    assert (len(train), len(test)) == (60_000, 10_000)


# --- a folder that cannot be written


def test_a_file_in_the_way_of_the_cache(home, serve, fashion):
    mirror = serve()
    fashion.mirrors.append(mirror.url)
    home.write_text("not a folder", encoding="utf-8")
    with pytest.raises(
        OSError, match=r"cannot be stored in .*writable folder as root=, .*SPIKEMNIST_DATA"
    ) as info:
        load_fashion_mnist()
    assert str(cache_folder()) in str(info.value)
    assert mirror.asked == []


def test_a_folder_without_permission(tmp_path, monkeypatch, serve, fashion):
    mirror = serve()
    fashion.mirrors.append(mirror.url)

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    # By a stand-in, because the tests may run as root, whom no permission stops.
    monkeypatch.setattr(spikemnist.data.download.tempfile, "TemporaryFile", refuse)
    with pytest.raises(
        PermissionError, match=r"Fashion-MNIST cannot be stored in .*writable folder as root="
    ):
        load_fashion_mnist(tmp_path)
    assert mirror.asked == []


def test_a_disk_that_fills_up_leaves_no_file(tmp_path, monkeypatch, serve, fashion):
    fashion.mirrors.append(serve().url)

    def write_half(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", write_half)
    with pytest.raises(OSError, match=r"cannot be stored.*No space left"):
        load_fashion_mnist(tmp_path)
    assert names(tmp_path / "FashionMNIST" / "raw") == []


# --- a process that is killed

CHILD = """
import os, pathlib, sys, torchvision
from spikemnist.data import load_fashion_mnist
torchvision.datasets.FashionMNIST.mirrors = [sys.argv[1]]
torchvision.datasets.FashionMNIST.resources = [a.split("=") for a in sys.argv[4:]]
if sys.argv[3] == "die writing":
    def write_half(path, data):
        with path.open("wb") as file:
            file.write(data[:len(data) // 2])
        os._exit(7)
    pathlib.Path.write_bytes = write_half
load_fashion_mnist(sys.argv[2])
"""


def start_child(mirror, root, fashion, mode):
    hashes = [f"{name}={md5}" for name, md5 in fashion.resources]
    return subprocess.Popen([sys.executable, "-c", CHILD, mirror.url, str(root), mode, *hashes])


def test_killed_while_downloading(tmp_path, serve, fashion):
    mirror = serve()
    mirror.faults[f"{FILES[1]}.gz"] = "stalled"
    fashion.mirrors.append(mirror.url)
    with start_child(mirror, tmp_path, fashion, "as usual") as child:
        assert mirror.half_sent.wait(120)
        child.kill()
    assert names(tmp_path / "FashionMNIST" / "raw") == [f"{FILES[0]}.gz"]
    mirror.faults.clear()
    check(*load_fashion_mnist(tmp_path))


def test_killed_while_writing(tmp_path, serve, fashion):
    mirror = serve()
    fashion.mirrors.append(mirror.url)
    with start_child(mirror, tmp_path, fashion, "die writing") as child:
        assert child.wait(120) == 7
    assert not (tmp_path / "FashionMNIST" / "raw" / f"{FILES[0]}.gz").exists()
    check(*load_fashion_mnist(tmp_path))
