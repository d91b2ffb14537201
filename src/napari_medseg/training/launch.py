"""The processes of a training on several devices: counted, started, connected by Lightning Fabric, ended.

Fabric and not accelerate: both would do, but accelerate keeps its state for the whole process, which a window that
trains now on one and then on two devices cannot use, and Fabric also knows Slurm. It is loaded only when there is more
than one process.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any

import torch

from napari_medseg.core import ComputeError, InputError

from .distributed import Connection, Fellows, Team
from .options import TrainOptions
from .run import RUN_FILE, TrainingRun

HELPER = "NAPARI_MEDSEG_HELPER"
"""Set in the environment of processes that another one has started to help it train."""

READY = "ready"
"""What a helper prints when nothing but the others is missing."""


def settle_devices(options: TrainOptions) -> TrainOptions:
    """The options with as many devices and computers as torchrun has started processes for.

    Raises
    ------
    InputError
        So many devices cannot be used.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        size, local = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        options = options.model_copy(update={"devices": local, "nodes": size // local})
    if options.devices == options.nodes == 1:
        return options
    if options.device.startswith(("cuda:", "mps")):
        raise InputError(f"{options.device} is a single device.", "Choose cuda or cpu, or one device.")
    if options.nodes > 1 and not from_outside():
        raise InputError(
            "A training on several computers is started on each of them.",
            f"For example with torchrun --nnodes {options.nodes} --nproc-per-node {options.devices} "
            "--rdzv-backend c10d --rdzv-endpoint HOST:29500 -m napari_medseg train RUN.json",
        )
    cuda = options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available())
    if cuda and options.devices > (count := torch.cuda.device_count()):
        raise InputError(f"{options.devices} devices are asked for, this computer has {count}.", "Ask for fewer.")
    try:
        import lightning_fabric  # noqa: F401
    except ImportError:
        raise InputError(
            "Training on several devices needs Lightning Fabric.",
            'Install it with: pip install "napari-medseg[multi-gpu]"',
        ) from None
    return options


def from_outside() -> bool:
    """Whether something else has started the processes: torchrun, Slurm, or the first of them."""
    return {"TORCHELASTIC_RUN_ID", HELPER} & {*os.environ} != set() or int(os.environ.get("SLURM_NTASKS", "1")) > 1


def first_here() -> bool:
    """Whether this process is the first one, before they are connected."""
    if not from_outside():
        return True
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


@contextmanager
def assemble(run: TrainingRun) -> Iterator[Team]:
    """The processes that do this run; those that nobody else starts are started here and gone afterwards.

    Parameters
    ----------
    run
        Saved, with options from `settle_devices`.

    Raises
    ------
    ComputeError
        A process cannot be started.
    """
    options = run.options
    if options.devices == options.nodes == 1:
        yield Team()
        return
    with ExitStack() as stack:
        if not from_outside():
            stack.enter_context(_helpers(run))
        elif HELPER in os.environ:
            print(READY, flush=True)
        stack.callback(_part)
        yield Fellows(_connect(options))


@contextmanager
def _helpers(run: TrainingRun) -> Iterator[None]:
    """Start the other processes with `run.json`, and set what Fabric reads about them in this one's environment."""
    assert run.folder is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    size = run.options.devices
    team = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size), "NODE_RANK": "0"}
    command = [sys.executable, "-m", "napari_medseg", "train", str(run.folder / RUN_FILE)]
    before = dict(os.environ)
    with ExitStack() as stack:
        started: list[tuple[subprocess.Popen[str], IO[bytes]]] = []
        stack.callback(_end, started)
        for rank in range(1, size):
            said: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
            own = {**before, **team, "RANK": str(rank), "LOCAL_RANK": str(rank), HELPER: "1"}
            # A session of its own: Ctrl-C is for the first process, which tells the others.
            process = subprocess.Popen(
                command, env=own, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True
            )
            started.append((process, said))
        for process, said in started:
            assert process.stdout is not None
            if process.stdout.readline().strip() != READY:
                process.wait()
                raise ComputeError(f"A process for another device cannot start: {_last_words(said)}.", "Train on one.")
        os.environ.update(team, LOCAL_RANK="0")
        try:
            yield
        except (RuntimeError, ComputeError) as error:
            for process, said in started:
                # The connection is lost a moment before the process that lost it is gone.
                with suppress(subprocess.TimeoutExpired):
                    if process.wait(2):
                        reason = f"A process for another device has failed: {_last_words(said)}."
                        raise ComputeError(reason, "Train on one device.") from error
            raise
        finally:
            for name in (*team, "LOCAL_RANK"):
                os.environ.pop(name, None)
                if name in before:
                    os.environ[name] = before[name]


def _last_words(said: IO[bytes]) -> str:
    said.seek(0)
    return (said.read().decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1].rstrip(".")


def _end(started: list[tuple[subprocess.Popen[str], IO[bytes]]]) -> None:
    """Wait for the helpers, which end by themselves after a run that went well, and end those that do not."""
    failed = sys.exc_info()[0] is not None
    for process, _ in started:
        try:
            process.wait(0 if failed else 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def _connect(options: TrainOptions) -> Connection:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    outside = "TORCHELASTIC_RUN_ID" in os.environ or HELPER in os.environ or "LOCAL_RANK" in os.environ
    environment = (
        TorchElasticEnvironment() if "TORCHELASTIC_RUN_ID" in os.environ
        else LightningEnvironment() if outside
        else SLURMEnvironment()
    )  # fmt: skip
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    cuda = options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available())
    try:
        fabric: Any = Fabric(
            accelerator="cuda" if cuda else "cpu", devices=options.devices, num_nodes=options.nodes,
            strategy=DDPStrategy(process_group_backend="nccl" if cuda else "gloo"), plugins=[environment],
        )  # fmt: skip
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise ComputeError(f"The devices cannot be connected: {error}.", "Train on one device.") from error
    found: Connection = fabric
    return found


def _part() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
