"""Threads beside the network: in order, bounded, and never a hang."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial

import numpy as np
import pytest
import torch

from napari_medseg.inference.pipeline import Writer, as_tensor, fetch, make_batch, read_ahead


def fail() -> None:
    raise SystemExit("the disk is full")


def test_work_is_done_in_order_before_leaving() -> None:
    done: list[int] = []
    with Writer(ahead=2) as writer:
        for i in range(20):
            writer.put(done.append, i)
    assert done == [*range(20)]


def put_all(works: Iterable[Callable[[], object]], ahead: int = 4) -> None:
    with Writer(ahead) as writer:
        for work in works:
            writer.put(work)


def test_writer_that_dies_ends_the_work_with_its_own_error() -> None:
    """W2: also with the queue full, when nobody takes from it any more."""
    done: list[int] = []
    works = [partial(done.append, i) if i != 3 else fail for i in range(100)]
    with pytest.raises(SystemExit, match="the disk is full"):
        put_all(works, ahead=1)
    assert done == [0, 1, 2]
    assert not [t for t in threading.enumerate() if t.name == "write-results"]


def test_last_piece_of_work_that_fails_is_told_on_leaving() -> None:
    with pytest.raises(SystemExit):
        put_all([fail])


def test_what_was_put_is_done_when_the_body_fails() -> None:
    """G2: what was finished when somebody cancels stays."""
    done: list[int] = []

    def works() -> Iterator[Callable[[], object]]:
        yield partial(done.append, 1)
        yield fail
        raise KeyError

    with pytest.raises((KeyError, SystemExit)):
        put_all(works())
    assert done == [1]


@pytest.mark.parametrize("threads", [1, 3])
def test_reading_ahead_keeps_the_order_and_stays_bounded(threads: int) -> None:
    begun: list[int] = []

    def read(i: int) -> int:
        begun.append(i)
        return i * i

    with closing(read_ahead(read, range(50), 4, threads)) as items:
        for n, (i, future) in enumerate(items):
            assert (i, future.result()) == (n, n * n)
            assert len(begun) <= n + 1 + 4


def test_reader_that_dies_is_told_by_its_future() -> None:
    with closing(read_ahead(lambda _: fail(), range(5), 2)) as items, pytest.raises(SystemExit):
        next(items)[1].result()
    assert not [t for t in threading.enumerate() if t.name.startswith("read-slices")]


@pytest.mark.parametrize("layout", [lambda p: p, np.ascontiguousarray])
@pytest.mark.parametrize("dtype", ["u1", ">i2", "u2", "f4"])
def test_batches_are_laid_out_as_patches_come(layout: Callable[..., np.ndarray], dtype: str) -> None:  # type: ignore[type-arg]
    pixels = layout(np.arange(4 * 6 * 3).reshape(4, 6, 3).astype(dtype).transpose(2, 0, 1))
    batch = make_batch(2, pixels, (4, 6), torch.device("cpu"))
    np.copyto(batch[1].numpy(), pixels)
    np.testing.assert_array_equal(batch[1].numpy(), pixels)
    assert batch[1].numpy().strides == pixels.astype(pixels.dtype.newbyteorder("="), copy=False).strides


def test_memory_that_torch_cannot_use_is_copied() -> None:
    pixels = np.arange(6.0)
    pixels.flags.writeable = False
    for array in (pixels, np.arange(6.0)[::-1]):
        np.testing.assert_array_equal(as_tensor(array).numpy(), array)
    plain = np.arange(6.0)
    assert np.shares_memory(as_tensor(plain).numpy(), plain)
    np.testing.assert_array_equal(fetch(torch.arange(3))(), [0, 1, 2])
