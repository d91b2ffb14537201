"""The Hugging Face hub: only when asked, and never a long wait.

Left alone, the hub's client tries for about 24 s before it says that there is no network. Here one short question
comes first; without an answer, what lies in the local cache is used or the failure is said at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_medseg.core import MedsegError, ModelError

_PATIENCE = 5.0  # seconds to wait for the hub's first answer
_lock = threading.RLock()


def hub_answers() -> bool:
    """Whether the hub answers within a few seconds; False in offline mode (``HF_HUB_OFFLINE=1``)."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
    except Exception:  # of whichever HTTP library the installed client uses
        return False
    return True


@contextmanager
def hub_reached(what: str) -> Iterator[None]:
    """Let the block use the hub, or only its local cache when it does not answer.

    Parameters
    ----------
    what
        What is asked for, as it reads after "download".

    Raises
    ------
    ModelError
        One sentence instead of the client's errors.
    """
    from huggingface_hub import constants

    with _lock:
        before = constants.HF_HUB_OFFLINE
        online = hub_answers()
        constants.HF_HUB_OFFLINE = before or not online
        try:
            yield
        except Exception as error:
            if isinstance(error, MedsegError) and error.__cause__ is None:
                raise
            if not online:
                raise ModelError(
                    f"Cannot download {what}: huggingface.co does not answer and no earlier download is here.",
                    "Connect to the internet, or start from a model that is already here.",
                ) from error
            cause = error.__cause__ or error
            reason = (str(cause).strip() or type(cause).__name__).splitlines()[0].rstrip(".")
            raise ModelError(f"Cannot download {what}: {reason}.", "Check the name and try again.") from error
        finally:
            constants.HF_HUB_OFFLINE = before


def download_model(repository: str, cache: Path) -> Path:
    """Download a model's card, configuration and safetensors (nothing that can run) from the hub.

    Parameters
    ----------
    repository
        ``owner/name``, or ``owner/name@revision``.
    cache
        Folder that keeps the downloads.

    Returns
    -------
    Path
        The folder with the files.

    Raises
    ------
    ModelError
        The name is not of that form, or the hub does not give the files.
    """
    name, _, revision = repository.partition("@")
    if name.count("/") != 1 or not all(name.split("/")):
        raise ModelError(f"'hf:{repository}' is not of the form hf:owner/repository.")
    import huggingface_hub

    with hub_reached(f"hf:{repository}"):
        folder = huggingface_hub.snapshot_download(
            name,
            revision=revision or None,
            cache_dir=cache,
            allow_patterns=["*.json", "*.safetensors"],
            etag_timeout=_PATIENCE,
        )
    return Path(folder)
