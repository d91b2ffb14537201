"""The command line: ``napari-medseg segment | train | compare | evaluate | models | convert | demo``.

Commands are imported only when they are called, so that ``--help`` is quick.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError, MissingArgumentError

from napari_medseg import __version__

# Threads that spin while they wait slow every other process down; read by torch when it is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

DONE, FAILED, BAD_INPUT, CANCELLED = 0, 1, 2, 130

_COMMANDS = {
    "segment": ("napari_medseg.cli.segment:segment", "Segment an image or a series with a model."),
    "train": ("napari_medseg.cli.train:train", "Fine-tune a model, or train a new one, on images and their masks."),
    "compare": ("napari_medseg.cli.compare:compare", "Train several networks in the same time and keep the best."),
    "evaluate": ("napari_medseg.cli.evaluate:evaluate", "Compare masks with the truth: Dice, IoU, distances."),
    "models": ("napari_medseg.cli.models:app", "List, show, compare, import, export and remove models."),
    "convert": ("napari_medseg.cli.convert:convert", "Convert masks between formats."),
    "demo": ("napari_medseg.demo:demo", "Run the whole loop on a built-in sample."),
}


def make_app(called: str = "") -> App:
    """The application with all its commands.

    Parameters
    ----------
    called
        The command that will run: its help is its own docstring. The others are listed without being imported.
    """
    app = App(
        name="napari-medseg",
        help="Segment medical images with U-Nets, fine-tune on corrected masks, save masks other tools accept.\n\n"
        "**Example**\n\n```\nnapari-medseg segment ct-slices/ --model femur-ct --output masks/\n```",
        help_epilogue="Every command explains itself with `--help`. `--debug` shows the traceback of an error.",
        version=__version__,
        help_format="markdown",
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for name, (path, help_text) in _COMMANDS.items():
        app.command(path, name=name, help=None if name == called else help_text)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0 done; 1 the work failed; 2 bad usage or bad input; 130 cancelled.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    tokens = [token for token in tokens if token != "--debug"]
    if not all(token.strip() for token in tokens):
        # As a path, nothing would mean the current folder.
        _say("One of the arguments is empty.", "Is a variable of the shell not set?")
        return BAD_INPUT
    try:
        result = make_app(tokens[0] if tokens else "")(tokens, exit_on_error=False, print_error=False)
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exception(error)
        return _tell(error, tokens)
    return result if isinstance(result, int) else DONE


def _tell(error: BaseException, tokens: Sequence[str]) -> int:
    """Say on standard error what went wrong; returns the exit code."""
    from napari_medseg.core import Cancelled, MedsegError

    match error:
        case CycloptsError():
            command = next((f" {token}" for token in tokens[:1] if token in _COMMANDS), "")
            left = error.unused_tokens if isinstance(error, MissingArgumentError) else ()
            unknown = [token for token in left or () if token.startswith("-")]
            note = f"There is no option {unknown[0]}. " if unknown else ""
            _say(str(error), f"{note}See napari-medseg{command} --help.")
            return BAD_INPUT
        case MedsegError():
            _say(error.message, error.hint)
            return error.exit_code
        case Cancelled() | KeyboardInterrupt():
            _say("Cancelled.", "")
            return CANCELLED
        case BrokenPipeError():
            # Whoever read the output wants no more of it; nothing is left to tell, not even when Python flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        case _:
            text = " ".join(str(error).split()) or "no further explanation"
            _say(f"The work failed: {type(error).__name__}: {text}", "Run it again with --debug to see where.")
            return FAILED


def _say(message: str, hint: str) -> None:
    print(f"napari-medseg: {message}", *([hint] if hint else []), sep="\n", file=sys.stderr)
