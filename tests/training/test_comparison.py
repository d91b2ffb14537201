from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from napari_medseg import __version__
from napari_medseg.core import (
    Cancelled,
    ClassInfo,
    ComputeError,
    InputError,
    MedsegError,
    ModelCard,
    ModelError,
    OutputError,
    Progress,
)
from napari_medseg.inference.cost import Cost, measure_cost
from napari_medseg.models import find_model, list_models, read_card
from napari_medseg.training import TrainingRun, TrainOptions, comparison, plan_run, rounds
from napari_medseg.training.candidates import AXES, VARIED, CompareOptions, lay_out
from napari_medseg.training.comparison import adopt_candidate, compare, settle_terms
from napari_medseg.training.standings import Comparison, Row
from napari_medseg.training.verdict import TrainingResult, Verdict

pytestmark = pytest.mark.long

SMALL = "unet:tu-resnet10t"
DICE = {"unet:resnet18": 0.6, "unet:resnet34": 0.8, "fpn:resnet18": 0.7, "fpn:resnet34": 0.5, "manet:resnet18": 0.4}


class Trainings:
    """In the place of real ones: each start has its Dice, later seeds are a little worse."""

    def __init__(self) -> None:
        self.runs: list[TrainingRun] = []
        self.stop_after = math.inf
        self.by_rate: dict[float, float] = {}
        self.by_round: dict[str, tuple[float, ...]] = {}
        self.errors: dict[str, MedsegError] = {}

    def __call__(
        self, run: TrainingRun, report: Callable[[Progress], None], *, started: float, library: Path
    ) -> TrainingResult:
        self.runs.append(run)
        if len(self.runs) > self.stop_after:
            report(Progress("Training", metrics={"step": 1.0}))
        if run.start not in DICE:
            raise self.errors.get(run.start, InputError(f"{run.start} does not fit."))
        for dice in (0.1, 0.1, 0.2):
            report(Progress("Training", metrics={"step": 1.0, "dice": dice}))
        folder = library / "models" / "candidate" / "1"
        folder.mkdir(parents=True)
        card = ModelCard(name="candidate", version=1, classes=(ClassInfo.numbered(1),))
        (folder / "card.json").write_text(card.model_dump_json())
        (folder / "start").write_text(f"{run.start} {run.options.seed} {run.options.max_minutes:.3g}")
        if run.start in self.by_round:
            assert run.folder is not None
            dice = self.by_round[run.start][int(run.folder.name.split("-")[1]) - 1]
            return TrainingResult(card, Verdict(math.nan, dice), "", ())
        dice = DICE[run.start] + self.by_rate.get(run.options.learning_rate, 0.0) - run.options.seed / 100
        return TrainingResult(card, Verdict(math.nan, dice), "", ())


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    found = Trainings()
    monkeypatch.setattr(rounds, "train_apart", found)
    monkeypatch.setattr(rounds, "measure_cost", lambda *_: Cost(1.0, 2.0, 3))
    return found


def test_every_combination_is_one_candidate_with_a_name_of_its_own() -> None:
    options = CompareOptions(
        starts=("unet:resnet18",), learning_rates=(1e-3, 1e-5, 1e-3), weight_decays=(0.0, 5e-4), batches=(2, 4)
    )
    names = [str(one) for one in options.candidates]
    assert len({*names}) == len(names) == 8
    assert names[0] == "unet:resnet18, dice-ce, auto, rate 0.001, decay 0.0, batch 2"
    assert names[-1] == "unet:resnet18, dice-ce, auto, rate 1e-05, decay 0.0005, batch 4"
    assert str(CompareOptions().candidates[0]) == "unet:resnet18, dice-ce, auto"


def test_an_axis_is_defined_by_its_field_alone() -> None:
    options = CompareOptions(learning_rates=(1e-3,), batches=(2,))
    assert {axis.option for axis in AXES.values()} - {"start"} <= {*TrainOptions.model_fields}
    for candidate in options.candidates:
        row = Row(candidate=str(candidate), **candidate.named)
        assert row.way == candidate, "what a report keeps"
        assert {*row.model_dump()} >= {*candidate.named} == {axis.option for axis in AXES.values()}


def test_what_a_comparison_sets_is_marked(tmp_path: Path) -> None:
    """The dock offers everything else for all trainings."""
    mine = TrainOptions(
        max_minutes=7, max_steps=5, rival=True, checkpoint_minutes=3, panels=tmp_path, loss="dice",
        augmentation="heavy", learning_rate=1e-3, patience=9, seed=4, device="cpu",
    )  # fmt: skip
    options = CompareOptions(losses=("focal",), augmentations=("light",))
    run = plan_run([("a", "b")]).model_copy(update={"options": mine})
    done = options.candidates[0].over(run, tmp_path, lay_out(4, options)[0], 4).options
    changed = {name for name, value in dict(mine).items() if getattr(done, name) != value}
    assert changed == {*VARIED}


@pytest.mark.parametrize("axis", [{"learning_rates": (0.2,)}, {"weight_decays": (-1,)}, {"batches": (2000,)}])
def test_a_sweep_keeps_the_bounds_of_a_training(axis: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"(less|greater) than or equal"):
        CompareOptions(**axis)


def test_one_start_at_several_rates_is_a_comparison(trainings: Trainings, tmp_path: Path) -> None:
    """What is not varied is the run's own; the report says what is."""
    trainings.by_rate = {1e-3: 0.0, 1e-4: 0.1}
    run = plan_run([("a", "b")])
    run = run.model_copy(update={"options": run.options.model_copy(update={"batch": 3, "log_dir": tmp_path / "logs"})})
    options = CompareOptions(
        starts=("unet:resnet18",), learning_rates=(1e-3, 1e-4), weight_decays=(0.01,), seeds=1, max_minutes=4
    )
    found = compare(run, options, folder=tmp_path)
    tried = [(one.options.learning_rate, one.options.weight_decay, one.options.batch) for one in trainings.runs]
    assert tried == [(1e-3, 0.01, 3), (1e-4, 0.01, 3)]
    assert len({one.options.log_dir for one in trainings.runs}) == 2
    assert found.names == ("rate 0.0001", "rate 0.001"), "only what differs"
    assert found.rows[0].way.settings["learning_rate"] == 1e-4
    lines = (tmp_path / "comparison.csv").read_text().splitlines()
    assert lines[0].startswith("start,loss,augmentation,learning_rate,weight_decay,batch,state,")
    assert lines[1].startswith("unet:resnet18,dice-ce,auto,0.0001,0.01,,in,0.7000")
    row = json.loads((tmp_path / "comparison.json").read_text())["rows"][0]
    assert (row["learning_rate"], row["weight_decay"], row["batch"]) == (1e-4, 0.01, None)
    assert "rate 0.0001, decay 0.01" in str(found)


@pytest.mark.parametrize("count", range(2, 17))
@pytest.mark.parametrize("seeds", range(1, 6))
def test_every_later_training_has_twice_the_time_and_all_keep_to_the_budget(count: int, seeds: int) -> None:
    rungs = lay_out(count, CompareOptions(max_minutes=40, seeds=seeds))
    assert sum(r.count * r.seeds * r.minutes for r in rungs) == pytest.approx(40)
    assert all(later.minutes >= 1.99 * one.minutes for one, later in pairwise(rungs))
    assert all(later.count == max(2, math.ceil(one.count / 2)) for one, later in pairwise(rungs))
    assert (rungs[0].count, rungs[-1].count) == (count, 2)
    assert [r.seeds for r in rungs] == [1] * (len(rungs) - 1) + [seeds]
    assert [r.last for r in rungs] == [False] * (len(rungs) - 1) + [True]
    assert [r.number for r in rungs] == [*range(1, len(rungs) + 1)]


def test_the_best_model_of_all_rounds_stays(trainings: Trainings, tmp_path: Path) -> None:
    """More time does not always help; who wins is decided in the last round."""
    trainings.by_round = {"unet:resnet18": (0.9, 0.5), "fpn:resnet18": (0.8, 0.6)}
    options = CompareOptions(starts=("unet:resnet18", "fpn:resnet18", "unet:resnet34"), max_minutes=11, seeds=2)
    trainings.by_round["unet:resnet34"] = (0.7,)
    found = compare(plan_run([("a", "b")]), options, folder=tmp_path, shelf=tmp_path / "shelf")
    assert [row.start for row in found.rows] == ["fpn:resnet18", "unet:resnet18", "unet:resnet34"]
    assert [row.dice for row in found.rows] == [(0.6, 0.6), (0.5, 0.5), (0.7,)]
    assert [row.kept for row in found.rows] == [0.8, 0.9, 0.7]
    assert [row.model and (row.model / "start").read_text() for row in found.rows] == [
        "fpn:resnet18 0 1", "unet:resnet18 0 1", "unet:resnet34 0 1"
    ]  # fmt: skip
    assert len([*(tmp_path / "shelf").rglob("start")]) == 3, "the others are gone"
    assert [row["kept"] for row in json.loads((tmp_path / "comparison.json").read_text())["rows"]] == [0.8, 0.9, 0.7]


@pytest.mark.parametrize(("minutes", "told"), [(0.6, True), (8, False)])
def test_trainings_that_are_too_short_to_tell_are_warned_of(trainings: Trainings, minutes: float, told: bool) -> None:
    messages: list[str] = []
    options = CompareOptions(starts=("unet:resnet18", "fpn:resnet18"), max_minutes=minutes)
    compare(plan_run([("a", "b")]), options, report=lambda p: messages.append(p.message))
    assert any("less than half a minute" in message for message in messages) == told


def test_the_better_half_goes_on_and_the_best_is_first(trainings: Trainings, tmp_path: Path) -> None:
    options = CompareOptions(starts=(*DICE,), max_minutes=12, seeds=2)
    found = compare(plan_run([("a", "b")]), options, folder=tmp_path)
    starts = [run.start for run in trainings.runs]
    assert starts[:5] == [*DICE]
    assert starts[5:8] == ["unet:resnet34", "fpn:resnet18", "unet:resnet18"]
    assert starts[8:] == ["unet:resnet34"] * 2 + ["fpn:resnet18"] * 2
    assert [row.start for row in found.rows[:3]] == ["unet:resnet34", "fpn:resnet18", "unet:resnet18"]
    assert [row.round for row in found.rows] == [3, 3, 2, 1, 1]
    assert found.rows[0].dice == pytest.approx((0.8, 0.79))
    assert found.rows[0].spread == pytest.approx(0.005)
    assert [row.cost for row in found.rows] == [Cost(1.0, 2.0, 3)] * 5, "also a smaller one that is nearly as good"
    assert [run.tested for run in trainings.runs] == [False] * 8 + [True] * 4, "only those of the last round"
    assert sum(run.options.max_minutes or 0 for run in trainings.runs) == pytest.approx(12)
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert [row["start"] for row in written["rows"]] == [row.start for row in found.rows]
    assert "0.795 ± 0.005" in str(found)


def test_every_candidate_logs_into_a_folder_of_its_own(trainings: Trainings, tmp_path: Path) -> None:
    run = plan_run([("a", "b")])
    run = run.model_copy(update={"options": run.options.model_copy(update={"log_dir": tmp_path})})
    compare(run, CompareOptions(starts=("unet:resnet18", "fpn:resnet18"), seeds=2))
    logs = [(one.options.log_dir and one.options.log_dir.name, one.folder and one.folder.name)
            for one in trainings.runs]  # fmt: skip
    seeds = ("round-1-seed-0", "round-1-seed-1")
    assert logs == [(f"{start}-resnet18-dice-ce-auto", name) for start in ("unet", "fpn") for name in seeds]


def test_what_cannot_be_trained_is_told_and_goes_last(trainings: Trainings, tmp_path: Path) -> None:
    """Whatever kind of error it is, and also where a library model does not exist."""
    told: list[str] = []
    trainings.errors["dpt:no-such"] = ModelError("There is no encoder 'no-such'.")
    starts = ("gone", "dpt:no-such", "dpt:resnet18", "unet:resnet18")
    options = CompareOptions(starts=starts, seeds=1)
    found = compare(plan_run([("a", "b")]), options, folder=tmp_path, report=lambda p: told.append(p.message))
    assert [row.start for row in found.rows] == ["unet:resnet18", *starts[:3]]
    assert [row.state for row in found.rows] == ["in", *["failed"] * 3]
    assert found.failures[1:] == (
        "dpt:no-such cannot be trained: There is no encoder 'no-such'.",
        "dpt:resnet18 cannot be trained: dpt:resnet18 does not fit.",
    )
    assert any("dpt:resnet18" in line and "does not fit" in line for line in told)
    assert all(sentence in str(found) for sentence in found.failures)
    lines = (tmp_path / "comparison.csv").read_text().splitlines()
    assert lines[1].startswith("unet:resnet18,dice-ce,auto,,,,in,0.6000,0.0000,1,2,5,3,1.0,2.0,")
    assert lines[4].endswith("dpt:resnet18 does not fit.")
    with pytest.raises(InputError, match="does not fit"):
        compare(plan_run([("a", "b")]), CompareOptions(starts=("dpt:resnet18", "pan:resnet18"), seeds=1))


def test_standings_and_curves_are_told_while_it_runs(trainings: Trainings) -> None:
    standings: list[Comparison] = []
    amounts: list[tuple[int, int]] = []

    def report(progress: Progress) -> None:
        amounts.append((progress.done, progress.total))
        if progress.so_far is not None:
            standings.append(progress.so_far)

    starts = ("unet:resnet18", "fpn:resnet18", "unet:resnet34")
    found = compare(plan_run([("a", "b")]), CompareOptions(starts=starts, max_minutes=8, seeds=2), report=report)
    assert [row.state for row in standings[0].rows] == ["training", "waiting", "waiting"]
    assert [row.curves[0].dice for row in standings[2].rows[:1]] == [(0.1, 0.2)]
    at_work = [row.candidate for one in standings for row in one.rows if row.state == "training"]
    assert list(dict.fromkeys(at_work)) == [f"{start}, dice-ce, auto" for start in starts]
    trained = next(one for one in standings if sum(row.round == 2 for row in one.rows) == 1)
    assert [row.state for row in trained.rows] == ["in", "in", "out"]
    assert trained.rows[-1].start == "unet:resnet18"
    assert [curve.dice for curve in found.rows[0].curves] == [(0.1, 0.2, 0.8), (0.1, 0.2, 0.79)]
    assert found.names == ("unet:resnet34", "fpn:resnet18", "unet:resnet18")
    assert [done for done, _ in amounts] == sorted(done for done, _ in amounts)
    assert amounts[-1] == (480, 480)


def test_what_was_not_measured_wins_nothing(trainings: Trainings, own_library: Path) -> None:
    """Neither a model nor a figure: Dice 0 would be one."""
    told: list[str] = []
    trainings.by_round = {"unet:resnet18": (math.nan,), "fpn:resnet18": (math.nan,)}
    options = CompareOptions(starts=("unet:resnet18", "fpn:resnet18"), seeds=1)
    before = list_models()
    found = compare(plan_run([("a", "b")]), options, name="w", report=lambda p: told.append(p.message))
    assert found.winner is None
    assert list_models() == before
    assert "unet:resnet18, dice-ce, auto: not measured after 10 min" in told
    assert "0.000" not in "".join([*told, str(found), found.to_csv()])


def test_what_was_measured_is_before_what_was_not(trainings: Trainings) -> None:
    trainings.by_round = {"unet:resnet18": (math.nan,), "fpn:resnet18": (0.0,)}
    found = compare(plan_run([("a", "b")]), CompareOptions(starts=(*trainings.by_round,), seeds=1))
    assert [row.start for row in found.rows] == ["fpn:resnet18", "unet:resnet18"]
    assert all(run.compared for run in trainings.runs), "a training refuses where nothing is held out"


def test_without_a_share_that_is_held_out_nothing_begins(trainings: Trainings) -> None:
    run = plan_run([("a", "b")])
    run = run.model_copy(update={"options": run.options.model_copy(update={"validation": 0.0})})
    with pytest.raises(InputError, match="Nothing is held out"):
        compare(run, CompareOptions())
    assert not trainings.runs


def test_a_place_that_cannot_be_written_to_is_refused_before_any_training(trainings: Trainings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        compare(plan_run([("a", "b")]), folder=tmp_path / "file")
    run = plan_run([("a", "b")])
    run = run.model_copy(update={"options": run.options.model_copy(update={"log_dir": tmp_path / "file"})})
    with pytest.raises(OutputError, match="cannot be written"):
        compare(run)
    assert not trainings.runs


def test_a_disk_that_fails_on_the_way_ends_no_comparison(trainings: Trainings, tmp_path: Path) -> None:
    """The folder of the report becomes a file in the second training."""
    told: list[str] = []
    folder = tmp_path / "report"

    def report(progress: Progress) -> None:
        told.append(progress.message)
        if len(trainings.runs) == 2 and folder.is_dir():
            shutil.rmtree(folder)
            folder.touch()

    options = CompareOptions(starts=("unet:resnet18", "fpn:resnet18"), seeds=1)
    found = compare(plan_run([("a", "b")]), options, folder=folder, report=report)
    assert [row.start for row in found.rows] == ["fpn:resnet18", "unet:resnet18"]
    assert not found.stopped
    assert any("comparison.json cannot be written" in message for message in told)


def test_models_stay_on_the_shelf_until_one_is_kept(trainings: Trainings, tmp_path: Path) -> None:
    options = CompareOptions(starts=("unet:resnet18", "fpn:resnet18", "unet:resnet34"), seeds=2)
    found = compare(plan_run([("a", "b")]), options, shelf=tmp_path / "shelf")
    kept = [folder.read_text() for folder in (tmp_path / "shelf").rglob("start")]
    assert sorted(one.rpartition(" ")[0] for one in kept) == ["fpn:resnet18 0", "unet:resnet18 0", "unet:resnet34 0"], (
        "the best of each, and no other"
    )
    assert found.rows[0].model is not None
    assert "model" not in json.loads(found.model_dump_json())["rows"][0]
    with pytest.raises(InputError, match="cannot be a model's name"):
        adopt_candidate(found.rows[0], "My Best!")
    with pytest.raises(InputError, match="cannot be a model's name"):
        compare(plan_run([("a", "b")]), options, name="My Best!")


def test_costs_that_cannot_be_measured_stay_empty(trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Cost:
        raise ComputeError("No memory.")

    monkeypatch.setattr(rounds, "measure_cost", fail)
    found = compare(plan_run([("a", "b")]), CompareOptions(starts=("unet:resnet18", "fpn:resnet18"), seeds=1))
    assert [row.cost for row in found.rows] == [None, None]
    assert found.rows[0].start == "fpn:resnet18"


def test_measuring_costs_can_be_stopped() -> None:
    def stop(progress: Progress) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        measure_cost("femur-ct", (64, 64), "cpu", stop)


def test_one_candidate_is_no_comparison() -> None:
    with pytest.raises(InputError, match="only one candidate"):
        compare(plan_run([("a", "b")]), CompareOptions(starts=("unet:resnet18",)))


@pytest.mark.parametrize("other", ["unet:resnet18", "quick", "femur-ct"])
@pytest.mark.parametrize("how", ["start", "model"])
def test_slice_classifiers_are_not_ranked_among_networks_that_outline(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch, other: str, how: str
) -> None:
    """Of slices the one, of pixels the other: an F1 is no Dice, and the winner might outline nothing."""
    cards = {
        "sorter": ModelCard(name="sorter", version=1, architecture="classifier", classes=(ClassInfo.numbered(1),),
                            presence=0.5),
        "femur-ct": read_card(find_model("femur-ct")),
    }  # fmt: skip
    monkeypatch.setattr(comparison, "find_model", lambda name: name)
    monkeypatch.setattr(comparison, "read_card", cards.__getitem__)
    sorter = "sorter" if how == "model" else "Classifier:resnet18"
    for starts in ((sorter, other), (other, sorter)):
        with pytest.raises(InputError, match=f"{sorter} only says .* {other} outlines it: .* cannot be compared"):
            compare(plan_run([("a", "b")]), CompareOptions(starts=starts))
    assert not trainings.runs


def test_slice_classifiers_are_compared_with_each_other_by_what_they_say_of_slices() -> None:
    starts = ("classifier:resnet18", "classifier:resnet34", "no-such")
    terms = settle_terms(plan_run([("a", "b")]), CompareOptions(starts=starts))
    found = Comparison(rows=(Row(candidate="a", start=starts[0], round=1, dice=(0.5,)),), terms=terms)
    assert found.columns[0] == "held-out F1 of slices"
    assert "held-out F1 of slices" in str(found)
    assert settle_terms(plan_run([("a", "b")]), CompareOptions()).figure == "Dice"


def test_when_it_is_stopped_what_is_known_stays(trainings: Trainings) -> None:
    trainings.stop_after = 2

    def report(progress: Progress) -> None:
        if len(trainings.runs) > trainings.stop_after:
            raise Cancelled("stopped")

    found = compare(plan_run([("a", "b")]), CompareOptions(starts=(*DICE,)), report=report)
    assert [row.start for row in found.rows if row.round] == ["unet:resnet34", "unet:resnet18"]
    assert {row.state for row in found.rows[2:]} == {"not trained"}
    assert ",not trained," in found.to_csv()
    assert found.stopped
    assert found.stopped_at == "Stopped: 2 of 5 candidates were trained in round 1 of 3."
    assert "fpn" not in str(found)


def test_when_it_is_stopped_in_a_later_round_that_is_told(trainings: Trainings) -> None:
    trainings.stop_after = 4

    def report(progress: Progress) -> None:
        if len(trainings.runs) > trainings.stop_after:
            raise Cancelled("stopped")

    options = CompareOptions(starts=("unet:resnet18", "unet:resnet34", "fpn:resnet18"), seeds=1)
    found = compare(plan_run([("a", "b")]), options, report=report)
    assert found.stopped_at == "Stopped: 1 of 2 candidates was trained in round 2 of 2."


def test_stopped_while_costs_are_measured_all_was_compared(trainings: Trainings) -> None:
    def report(progress: Progress) -> None:
        if progress.message.startswith("Measuring"):
            raise Cancelled("stopped")

    options = CompareOptions(starts=("unet:resnet18", "fpn:resnet18"), seeds=1)
    found = compare(plan_run([("a", "b")]), options, report=report)
    assert [row.cost for row in found.rows] == [None, None]
    assert not found.stopped
    assert not found.stopped_at


@pytest.mark.usefixtures("trained_here")
def test_the_winner_comes_into_the_library_and_nothing_else(
    write_series: Callable[..., Any], own_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real training; what it costs is measured afterwards, once."""
    monkeypatch.setattr(rounds, "measure_cost", lambda *_: Cost(parameters=1, milliseconds=1.0, mebibytes=1.0))
    images, masks = write_series(5)
    run = plan_run([(images, masks)])
    options = CompareOptions(starts=(SMALL, "dpt:no-such"), max_minutes=0.06, seeds=1)
    before = {card.name for card in list_models()}
    found = compare(run, options, name="winner", folder=tmp_path / "report")
    assert found.winner is not None
    assert {card.name for card in list_models()} - before == {"winner"}
    card = read_card(find_model("winner"))
    assert card.parent == found.rows[0].start
    assert card.architecture == found.rows[0].start.partition(":")[0]
    cost = measure_cost("winner", (64, 64), "cpu")
    assert cost.parameters > 1e6
    assert cost.milliseconds > 0
    assert cost.device == "CPU"
    written = json.loads((tmp_path / "report" / "comparison.json").read_text())
    terms = written["terms"]
    assert [(pair["image"], pair["labels"]) for pair in terms["run"]["pairs"]] == [(str(images), str(masks))]
    assert (terms["options"]["max_minutes"], terms["options"]["starts"]) == (0.06, [SMALL, "dpt:no-such"])
    assert terms["version"] == __version__
    assert "CPUs" in terms["machine"]
    assert datetime.fromisoformat(terms["begun"]).tzinfo is not None
    assert terms["held_out"]
    assert {Path(name).parent for name in terms["held_out"]} == {images}


@pytest.mark.usefixtures("trained_here")
def test_a_sweep_trains_as_it_says(
    write_series: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real trainings of one network."""
    monkeypatch.setattr(rounds, "measure_cost", lambda *_: Cost(parameters=1, milliseconds=1.0, mebibytes=1.0))
    run = plan_run([write_series(5)])
    options = CompareOptions(starts=(SMALL,), learning_rates=(1e-4, 3e-3), batches=(2,), max_minutes=0.06, seeds=1)
    found = compare(run, options, shelf=tmp_path / "shelf")
    assert not found.failures
    assert {row.learning_rate for row in found.rows} == {1e-4, 3e-3}
    assert all(row.measured for row in found.rows)
    done = [json.loads(path.read_text()) for path in (tmp_path / "shelf").rglob("run.json")]
    assert sorted(one["options"]["learning_rate"] for one in done) == [1e-4, 3e-3]
    assert {one["options"]["batch"] for one in done} == {2}
