"""A slide on a cluster of two workers, one of which is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_slides import OPTIONS, files_of, small_slide

from napari_medseg.core import Image, InputError
from napari_medseg.inference.slides.cluster import segment_on_cluster

pytestmark = pytest.mark.long


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no way to kill a program unawares")
@pytest.mark.timeout(180)
def test_a_worker_that_is_killed_changes_no_byte(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, timeout=170, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_an_image_without_a_file_or_a_cluster_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="without a file"):
        segment_on_cluster(small_slide((64, 64)), "femur-ct", OPTIONS, address="tcp://127.0.0.1:1")


def main(folder: Path) -> None:
    """In a program of its own, since a cluster leaves threads behind for a while."""
    import dask
    import tifffile
    from distributed import LocalCluster
    from distributed.utils import get_mp_context

    from napari_medseg import io
    from napari_medseg.core import ClassInfo, Normalisation, Progress
    from napari_medseg.inference.slides.segment import segment_slide
    from napari_medseg.models import build_network, load_model, save_network, start_card

    made = small_slide((2300, 520))
    with tifffile.TiffWriter(folder / "slide.tif") as tiff:
        tiff.write(made.data, tile=(256, 256), subifds=2, photometric="rgb", metadata=None)
        for level in made.levels:
            tiff.write(level, tile=(256, 256), subfiletype=1, photometric="rgb", metadata=None)
    image: Image = io.read(folder / "slide.tif", spacing=4.0, unit="um")
    card = start_card(
        "unet:tu-resnet10t", name="small", channels=3, classes=(ClassInfo.numbered(1),),
        normalisation=Normalisation(method="window", low=0, high=255),
    )  # fmt: skip
    save_network(folder / "model", card, build_network(card))
    options = OPTIONS.model_copy(update={"batch": 2})
    model = load_model(folder / "model")
    labels = segment_slide(image, model, options, output=folder / "one.ome.zarr")
    assert labels.not_computed is None
    killed: list[int] = []
    # Workers are forked from a program that has loaded torch, which takes each of them seconds.
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    get_mp_context().set_forkserver_preload(["napari_medseg.inference.slides.cluster", "napari_medseg.models.smp"])
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:

        def report(progress: Progress) -> None:
            if progress.region and not killed:
                killed.append(cluster.workers[0].pid)
                os.kill(killed[0], signal.SIGKILL)

        on_cluster = segment_on_cluster(
            image, model, options, address=cluster.scheduler_address, output=folder / "two.ome.zarr", report=report
        )
    assert killed
    assert on_cluster.not_computed is None
    assert {f.code for f in on_cluster.findings} == {f.code for f in labels.findings}
    one, two = files_of(folder / "one.ome.zarr"), files_of(folder / "two.ome.zarr")
    assert one == two, sorted(one.items() ^ two.items())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
