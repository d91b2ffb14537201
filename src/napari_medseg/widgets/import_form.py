"""A model to add: where it is, what it is to be called, and what bare weights do not say themselves."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCompleter, QFileDialog, QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_medseg.models.foreign import BARE
from napari_medseg.models.unpack import ARCHIVES

from .look import Rows, beside, button, tighten
from .signals import Signal

_FILES = f"Models ({' '.join(f'*{suffix}' for suffix in (*ARCHIVES, *BARE))})"

_USUAL = (
    "unet:resnet18", "unet:resnet34", "unet:resnet50", "unet:mobilenet_v2", "unet:efficientnet-b0",
    "unet:tu-regnety_004", "unetplusplus:resnet34", "manet:resnet34", "linknet:resnet34", "fpn:resnet34",
    "pspnet:resnet34", "pan:resnet34", "deeplabv3:resnet34", "deeplabv3plus:resnet34", "upernet:resnet34",
    "segformer:mit_b0",
)  # fmt: skip
"""Networks offered while typing; any other architecture:encoder may be typed."""


class ImportForm(QWidget):
    """Rows that appear once something is chosen; ``changed`` whenever they may mean something else."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.source = QLineEdit()
        self.source.setObjectName("source")
        self.source.setPlaceholderText("folder, zip file, weights or hf:owner/repository")
        self.source.setToolTip(
            "A model's folder (ours or segmentation_models_pytorch's), a zip of it, a bioimage.io package, bare "
            "weights, or a repository of Hugging Face"
        )
        self.name = QLineEdit()
        self.name.setObjectName("name")
        self.name.setPlaceholderText("its own")
        self.name.setToolTip("Its name in the library; a name that exists gets a new version, nothing is overwritten")
        self.network = QLineEdit()
        self.network.setObjectName("network")
        self.network.setPlaceholderText("unet:resnet18")
        self.network.setToolTip(
            "Bare weights do not say what network they belong to: architecture:encoder; channels and classes are "
            "counted in the weights"
        )
        usual = QCompleter(_USUAL, self.network)
        usual.setFilterMode(Qt.MatchFlag.MatchContains)
        self.network.setCompleter(usual)
        self.part = QLineEdit()
        self.part.setObjectName("part")
        self.part.setPlaceholderText("the only one")
        self.part.setToolTip("Which network of a file that holds several, such as the weights and their average")
        self.folder = button("Folder…", "Choose a model's folder", "choose_folder")
        self.file = button("File…", "Choose a zip file or weights", "choose_file")
        heading = QLabel("Add a model")
        heading.setProperty("heading", True)
        heading.setContentsMargins(0, 8, 0, 0)
        self._rows = Rows({"Name": self.name, "Network": self.network, "Part": self.part})
        column = QVBoxLayout(self)
        tighten(column)
        for part in (heading, self.source, beside(self.folder, self.file), self._rows):
            column.addWidget(part)
        for line in (self.source, self.name, self.network, self.part):
            line.textChanged.connect(self._on_typed)
        self.folder.clicked.connect(self._choose_folder)
        self.file.clicked.connect(self._choose_file)
        self._on_typed()

    def value(self) -> tuple[str, str, str, str]:
        """Source, name, network and part, each empty where it is not given or not needed."""
        network, part = (line.text().strip() if self._is_bare() else "" for line in (self.network, self.part))
        return self.source.text().strip(), self.name.text().strip(), network, part

    @property
    def problem(self) -> str:
        """What is still to be done before a model can be added, or ``""``."""
        source, _, network, _ = self.value()
        if not source:
            return "Choose a folder or file to add a model."
        return "Say what network these weights belong to." if self._is_bare() and not network else ""

    def clear(self) -> None:
        """Forget what was chosen."""
        for line in (self.source, self.name, self.network, self.part):
            line.clear()

    def _is_bare(self) -> bool:
        source = self.source.text().strip().lower()
        return source.endswith(BARE) and not source.startswith("hf:")

    def _on_typed(self, *_: object) -> None:
        self._rows.setVisible(bool(self.source.text().strip()))
        for line in (self.network, self.part):
            self._rows.show_row(line, self._is_bare())
        self.changed.emit()

    def _choose_folder(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "Folder of a model", self.source.text()):
            self.source.setText(chosen)

    def _choose_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Model", self.source.text(), _FILES)
        if chosen:
            self.source.setText(chosen)
