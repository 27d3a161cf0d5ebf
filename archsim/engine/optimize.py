"""Search of a study's axes for the best machines: Optuna proposes, the sweep's workers run. See docs/sweeps.md."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim.config.yaml_marks import Origin
from archsim.engine.sweep.axes import Axis, AxisValue
from archsim.engine.sweep.explore import Evaluated, Explorer
from archsim.engine.sweep.expressions import Expression, parse_expression
from archsim.engine.sweep.extras import need
from archsim.engine.sweep.journal import Journal
from archsim.engine.sweep.pool import Executor
from archsim.engine.sweep.runner import Report
from archsim.engine.sweep.study import Study, check_whole_numbers
from archsim.engine.sweep.table import write_table
from archsim.errors import ConfigError, RunError

STORAGE = "trials.jsonl"
TRIALS = "trials.parquet"
SAMPLERS = ("tpe", "nsga2", "random")
BATCH = 8  # trials proposed together: fixed, so that a search does not depend on the number of workers
_REFUSED_IN_A_ROW = 300  # proposals that break constraints, before the search gives up

COMBINE: dict[str, Callable[[Sequence[float]], float]] = {
    "geomean": lambda v: math.exp(sum(map(math.log, v)) / len(v)) if min(v) > 0 else math.nan,
    "mean": lambda v: sum(v) / len(v),
    "sum": sum,
    "max": max,
    "min": min,
}


@dataclass(frozen=True)
class Objective:
    """What to minimise or maximise: an expression over the statistics and parameters of a run."""

    expression: Expression
    maximize: bool

    @property
    def name(self) -> str:
        """Column of the trials table."""
        return self.expression.text


@dataclass(frozen=True)
class Goal:
    """A search: objectives, limits (expressions that have to hold in every run), effort."""

    objectives: tuple[Objective, ...]
    limits: tuple[tuple[Expression, Origin], ...] = ()
    trials: int = 50
    sampler: str = "tpe"
    seed: int = 0
    combine: str = "geomean"


@dataclass
class Trial:
    """One finished trial. ``values``: the objectives, in order; ``feasible``: whether every limit holds."""

    number: int
    labels: dict[str, Any]
    values: list[float]
    feasible: bool
    pareto: bool = False


@dataclass
class SearchResult:
    """What a search found. ``front``: the feasible trials that no other one beats in every objective."""

    folder: Path
    objectives: tuple[Objective, ...]
    trials: list[Trial]
    refused: int
    failed: int
    error: str

    @property
    def front(self) -> list[Trial]:
        """Pareto front, by the first objective."""
        return sorted((t for t in self.trials if t.pareto), key=lambda t: t.values[0])


_KEYS = {"objectives", "limits", "trials", "sampler", "seed", "combine"}


def goal_of(study: Study, changes: dict[str, Any] | None = None) -> Goal:
    """The study's ``optimize:`` section, with ``changes`` from the command line. ConfigError."""
    origin, given = study.section("optimize", _KEYS, changes)
    objectives = tuple(_objective(item, origin) for item in given.get("objectives", ()))
    if not objectives:
        raise ConfigError(f"{origin}: no objective: give optimize: objectives: or --minimize / --maximize")
    goal = Goal(
        objectives,
        tuple((_expression(text, origin), origin) for text in given.get("limits", ())),
        given.get("trials", Goal.trials),
        given.get("sampler", Goal.sampler),
        given.get("seed", Goal.seed),
        given.get("combine", Goal.combine),
    )
    for key, known in (("sampler", SAMPLERS), ("combine", tuple(COMBINE))):
        if getattr(goal, key) not in known:
            raise ConfigError(f"{origin}: optimize: {key}: {', '.join(known)}, not {getattr(goal, key)!r}")
    check_whole_numbers(goal, "optimize", origin, trials=1, seed=0)
    return goal


def _expression(text: Any, origin: Origin) -> Expression:
    try:
        return parse_expression(str(text))
    except ConfigError as error:
        raise ConfigError(f"{origin}: optimize: {error}") from None


def _objective(item: Any, origin: Origin) -> Objective:
    if not isinstance(item, dict) or len(item) != 1 or next(iter(item)) not in ("minimize", "maximize"):
        raise ConfigError(f"{origin}: optimize: an objective is minimize: EXPRESSION or maximize: EXPRESSION")
    direction, text = next(iter(item.items()))
    return Objective(_expression(text, origin), direction == "maximize")


def optimize(
    study: Study,
    goal: Goal,
    folder: str | Path,
    executor: Executor,
    *,
    report: Report = lambda progress: None,
) -> SearchResult:
    """Search until ``goal.trials`` trials are finished, those of an earlier call in ``folder`` included.

    Raises:
        ConfigError, TraceError: the study is wrong; nothing has run.
        RunError: the folder cannot be written, or no point within the constraints can be found.
    """
    place = Path(folder)
    with Explorer(study, place, executor, report=report) as explorer, closing(_Search(explorer, goal)) as search:
        search.run()
        result = search.result(Path(folder))
    _write_trials(result, [axis.name for axis in study.axes], {"name": study.name, "seed": goal.seed})
    return result


class _Search:
    def __init__(self, explorer: Explorer, goal: Goal) -> None:
        self._optuna = need("optuna", "archsim optimize")
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        self._explorer = explorer
        self._goal = goal
        self._axes = explorer.study.axes
        self._refused = self._failed = 0
        self._error = ""
        self._search = self._identity()
        self._journal = Journal(explorer.folder, STORAGE)
        self._batches = 0
        self._spaces = {axis.name: _distribution(self._optuna, axis) for axis in self._axes}
        self._study = self._open()

    def _open(self) -> Any:
        """An Optuna study with the trials of earlier calls, read from the folder's own journal.

        Optuna's storages write many times a trial; here a batch is one durable line, and a kill leaves no trial
        half-told: what was proposed but not finished is proposed anew (its runs are in the sweep's journal).
        """
        optuna = self._optuna
        study = optuna.create_study(
            directions=["maximize" if o.maximize else "minimize" for o in self._goal.objectives]
        )
        for record in self._journal.records.values():
            if record["search"] != self._search:
                continue
            self._batches += 1
            for trial in record["trials"]:
                study.add_trial(
                    optuna.trial.create_trial(
                        params=trial["params"],
                        distributions=self._spaces,
                        values=trial["values"],
                        user_attrs=trial["attrs"],
                    )
                )
        study.sampler = self._sampler(self._batches)
        return study

    def _identity(self) -> str:
        """Trials of another space, other traces or other objectives are no part of this search."""
        space = [[a.name, [repr(v.label) for v in a.values], a.bounds, a.log, a.step] for a in self._axes]
        goal = self._goal
        what = [space, [t.sha256 for t in self._explorer.traces], [[o.name, o.maximize] for o in goal.objectives]]
        what += [[e.text for e, _ in goal.limits], goal.combine, self._explorer.fixed_part()]
        digest = hashlib.sha256(json.dumps(what, default=str).encode()).hexdigest()[:12]
        return f"{self._explorer.study.name}-{digest}"

    def _sampler(self, offset: int) -> Any:
        samplers, seed = self._optuna.samplers, self._goal.seed + offset

        def violations(trial: Any) -> Sequence[float]:
            return tuple(trial.user_attrs.get("violations", ()))

        limited = violations if self._goal.limits else None
        if self._goal.sampler == "random":
            return samplers.RandomSampler(seed=seed)
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
            if self._goal.sampler == "nsga2":
                return samplers.NSGAIISampler(seed=seed, constraints_func=limited)
            return samplers.TPESampler(seed=seed, constraints_func=limited, constant_liar=True)

    def run(self) -> None:
        """Batches of proposals until enough trials are finished."""
        left = self._goal.trials - len(self._complete())
        self._explorer.expect(max(left, 0))
        while left > 0:
            batch = [self._propose() for _ in range(min(BATCH, left))]
            evaluated = self._explorer.evaluate([(values, config) for _, values, config in batch])
            for (trial, _, _), item in zip(batch, evaluated, strict=True):
                self._tell(trial, item)
            self._keep([trial.number for trial, _, _ in batch])
            left = self._goal.trials - len(self._complete())
            if self._failed >= self._goal.trials and not self._complete():
                raise RunError(f"every trial fails, last: {self._error}")

    def _keep(self, numbers: list[int]) -> None:
        """The finished trials of a batch, durably."""
        finished = [trial for trial in self._complete() if trial.number in numbers]
        rows = [{"params": t.params, "values": t.values, "attrs": t.user_attrs} for t in finished]
        self._journal.append({"key": f"{self._search}/{self._batches}", "search": self._search, "trials": rows})
        self._batches += 1

    def close(self) -> None:
        """Give up the journal."""
        self._journal.close()

    def _complete(self) -> list[Any]:
        states = (self._optuna.trial.TrialState.COMPLETE,)
        return list(self._study.get_trials(deepcopy=False, states=states))

    def _propose(self) -> tuple[Any, dict[str, AxisValue], Any]:
        """A trial within the constraints; others are told to the sampler as failed."""
        for _ in range(_REFUSED_IN_A_ROW):
            trial = self._study.ask(self._spaces)
            values = {axis.name: _chosen(axis, trial.params[axis.name]) for axis in self._axes}
            config = self._explorer.feasible(values)
            if config is not None:
                return trial, values, config
            self._refused += 1
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        raise RunError(f"{_REFUSED_IN_A_ROW} proposals in a row break the constraints or are impossible machines")

    def _tell(self, trial: Any, item: Evaluated) -> None:
        goal, explorer = self._goal, self._explorer
        state = self._optuna.trial.TrialState.FAIL
        if item.failed:
            self._failed += 1
            self._error = item.failed
            self._study.tell(trial, state=state)
            return
        values = []
        for objective in goal.objectives:
            runs = [explorer.value(objective.expression, item, record) for record in item.records]
            values.append(float(COMBINE[goal.combine](runs)))
        if not all(map(math.isfinite, values)):
            shown = ", ".join(o.name for o, v in zip(goal.objectives, values, strict=True) if not math.isfinite(v))
            raise ConfigError(f"optimize: {shown}: not a finite number (combine: geomean needs positive ones)")
        held = [all(explorer.value(e, item, record) for record in item.records) for e, _ in goal.limits]
        trial.set_user_attr("violations", [0.0 if ok else 1.0 for ok in held])
        trial.set_user_attr("labels", item.point.labels)
        self._study.tell(trial, values)

    def result(self, folder: Path) -> SearchResult:
        """Finished trials, the front marked."""
        trials = [
            Trial(t.number, t.user_attrs["labels"], list(t.values), not any(t.user_attrs["violations"]))
            for t in self._complete()
        ]
        signs = [-1.0 if o.maximize else 1.0 for o in self._goal.objectives]
        feasible = [t for t in trials if t.feasible]
        points = [[s * v for s, v in zip(signs, t.values, strict=True)] for t in feasible]
        for trial, best in zip(feasible, pareto(points), strict=True):
            trial.pareto = best
        return SearchResult(folder, self._goal.objectives, trials, self._refused, self._failed, self._error)


def _distribution(optuna: Any, axis: Axis) -> Any:
    """What Optuna is to know of an axis. Listed values are places in the list; those of numbers are ordered."""
    kinds = optuna.distributions
    if axis.bounds is not None:
        low, high = axis.bounds
        if axis.integer:
            step = 1 if axis.log else int(axis.step) or 1
            return kinds.IntDistribution(int(low), int(low) + (int(high) - int(low)) // step * step, axis.log, step)
        return kinds.FloatDistribution(low, high, axis.log, axis.step or None)
    labels = [value.label for value in axis.values]
    if all(isinstance(label, int | float) and not isinstance(label, bool) for label in labels):
        return kinds.IntDistribution(0, len(labels) - 1)
    return kinds.CategoricalDistribution(list(range(len(labels))))


def _chosen(axis: Axis, value: Any) -> AxisValue:
    """The position of an axis that a parameter of Optuna stands for."""
    if axis.bounds is None:
        return axis.values[int(value)]
    return AxisValue(value, {axis.name: value}, axis.origin)


def pareto(points: Sequence[Sequence[float]]) -> list[bool]:
    """Which points no other point beats (all coordinates to be small). Of equal points, all are kept."""

    def beats(a: Sequence[float], b: Sequence[float]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))

    return [not any(beats(other, point) for other in points) for point in points]


def _write_trials(result: SearchResult, axes: list[str], meta: dict[str, Any]) -> None:
    rows = [
        {"trial": t.number, **{a: t.labels.get(a) for a in axes}}
        | {o.name: value for o, value in zip(result.objectives, t.values, strict=True)}
        | {"feasible": t.feasible, "pareto": t.pareto}
        for t in result.trials
    ]
    objectives = [{"name": o.name, "direction": "maximize" if o.maximize else "minimize"} for o in result.objectives]
    meta |= {"format": "archsim trials", "version": 1, "objectives": objectives, "axes": [{"name": a} for a in axes]}
    write_table(rows, result.folder / TRIALS, meta, {})


__all__ = ["Goal", "Objective", "SearchResult", "Trial", "goal_of", "optimize", "pareto"]
