"""Threads before and after the network: reading ahead, writing behind; an error on either side ends the work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch

Item = TypeVar("Item")
Value = TypeVar("Value")


def read_ahead(
    read: Callable[[Item], Value], items: Iterable[Item], ahead: int, threads: int = 1
) -> Generator[tuple[Item, Future[Value]], None, None]:
    """Read items on threads of their own while the caller works, at most ``ahead`` of them unclaimed.

    Errors of ``read`` come out of the future. Close the generator to stop: what has not begun is dropped and the
    threads have ended when close returns.
    """
    with ThreadPoolExecutor(threads, "read-slices") as pool:
        waiting: deque[tuple[Item, Future[Value]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(read, item)))
                if len(waiting) > ahead:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            pool.shutdown(cancel_futures=True)


def make_batch(count: int, like: npt.NDArray[Any], patch: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Memory for patches (count, C, h, w) of the dtype of ``like`` (C, Y, X), from which ``device`` copies fast."""
    dtype = torch.from_numpy(np.empty(0, like.dtype.newbyteorder("="))).dtype
    # Laid out as they come, so that filling it is a plain copy.
    inner = like.strides[0] < like.strides[-1]
    return torch.empty(
        (count, len(like), *patch),
        dtype=dtype,
        pin_memory=device.type == "cuda",
        memory_format=torch.channels_last if inner else torch.contiguous_format,
    )


def as_tensor(patches: torch.Tensor | npt.NDArray[Any]) -> torch.Tensor:
    """The same memory where torch can use it."""
    if isinstance(patches, torch.Tensor):
        return patches
    plain = patches.flags.writeable and min(patches.strides) >= 0
    return torch.from_numpy(patches if plain else patches.copy())


def fetch(tensor: torch.Tensor) -> Callable[[], npt.NDArray[Any]]:
    """Begin to copy a tensor from its device; what is returned waits for the copy alone and hands it out.

    Asking for the numbers at once would wait for everything else that the device has been given to do.
    """
    if tensor.device.type != "cuda":
        host = tensor.cpu()
        return host.numpy
    host = tensor.to("cpu", non_blocking=True)  # into pinned memory
    done = torch.cuda.Event()  # type: ignore[no-untyped-call]
    done.record(torch.cuda.current_stream(tensor.device))

    def wait() -> npt.NDArray[Any]:
        done.synchronize()
        return host.numpy()

    return wait


class Writer:
    """Does pieces of work one after another on a thread of its own, so that the network need not wait for them.

    A context manager; leaving it waits until everything is done, also after an error in its body: what was finished
    stays. Once a piece has failed the following ones are dropped, and its error comes out of the next `put` or of
    leaving.

    Parameters
    ----------
    ahead
        Pieces that may wait; `put` waits for room beyond that.
    """

    def __init__(self, ahead: int = 4) -> None:
        self._queue: Queue[tuple[Callable[..., object], tuple[Any, ...]] | None] = Queue(ahead)
        self._error: BaseException | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._work, name="write-results")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self.close()
        except BaseException:
            if error is None:  # the body's own error is the one to tell
                raise

    def put(self, work: Callable[..., object], *args: Any) -> None:
        """Have ``work(*args)`` done after everything put before.

        Raises
        ------
        BaseException
            Whatever an earlier piece of work raised.
        """
        self._raise()
        self._queue.put((work, args))

    def close(self) -> None:
        """Wait until all is done; raises what a piece of work raised."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        failed = False
        # Goes on taking after a failure, so that nobody waits for room for ever.
        while (item := self._queue.get()) is not None:
            if failed:
                continue
            work, args = item
            try:
                work(*args)
            except BaseException as error:
                self._error, failed = error, True
            # Not kept until the next piece comes.
            del item, work, args
