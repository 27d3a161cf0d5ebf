"""Points that are chosen as results come in: what search and sensitivity share. Rows make the table of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from archsim.engine.sweep.axes import AxisValue
from archsim.engine.sweep.expressions import Expression
from archsim.engine.sweep.plan import Plan, Point, Space, TaskFactory, check_options, find_traces, located
from archsim.engine.sweep.pool import Executor
from archsim.engine.sweep.runner import Lazy, Progress, Recorder, Report, write_results
from archsim.engine.sweep.study import Study
from archsim.engine.sweep.table import check_extras
from archsim.engine.sweep.task import Record
from archsim.errors import ConfigError, RunError

Values = Mapping[str, AxisValue]


@dataclass
class Evaluated:
    """A point with its records, one a trace. ``failed``: the first error among them, "" if all went well."""

    point: Point
    values: Values
    records: list[Record]
    failed: str = ""


class Explorer:
    """Evaluates points of a study into a study folder. A context manager; the table is written when it is left."""

    def __init__(
        self,
        study: Study,
        folder: Path,
        executor: Executor,
        *,
        force: bool = False,
        report: Report = lambda progress: None,
    ) -> None:
        check_extras()
        if not study.axes:
            raise ConfigError(f"{study.origin}: the study has no axes: to explore")
        kind, paths = find_traces(study)
        self.study = study
        self.folder = folder.resolve()
        self.space = Space(study, kind)
        check_options(study, kind)
        inspect = self.space.target.inspect
        self.traces = [inspect(path, name, study.options, origin) for name, path, origin in located(paths)]
        names = [axis.name for axis in study.axes]
        self._plan = Plan(study, self.space.target, self.traces, [], [], {}, axes=names)
        self._task = TaskFactory(self.space, force=force)
        self._recorder = Recorder(self.folder, force=force)
        self._executor = Lazy(executor)
        self._report = report
        self.progress = Progress(0)

    def __enter__(self) -> Explorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._executor.__exit__(kind, error, trace)
            if self._plan.points and not isinstance(error, RunError):
                write_results(self._plan, self._recorder.journal.records, self.folder)
        finally:
            self._recorder.close()

    def feasible(self, values: Values) -> Any:
        """Configuration of a point; None if it breaks a constraint or is no possible machine."""
        if self.space.broken(values) is not None:
            return None
        try:
            return self.space.resolve(values)
        except ConfigError as error:
            if "impossible machine" in str(error):
                return None
            raise

    def fixed_part(self) -> list[Any]:
        """What all points share, to tell searches apart."""
        study = self.study
        return [list(study.base), {path: value for path, (value, _) in study.settings.items()}, str(study.options)]

    def expect(self, points: int) -> None:
        """So many points will come: what the progress bar counts to."""
        self.progress.total = points * len(self.traces)

    def evaluate(self, points: Sequence[tuple[Values, Any]]) -> list[Evaluated]:
        """Run (values, configuration) on every trace. Equal configurations run once."""
        found, tasks = [], {}
        plan = self._plan
        for values, config in points:
            labels = {name: self._label(name, values, config) for name in plan.axes}
            point = Point(len(plan.points), labels, config, self.space.target.hash(config))
            plan.points.append(point)
            keys = []
            for trace in self.traces:
                task = self._task(config, trace)
                tasks[task.key] = task
                keys.append(task.key)
                plan.rows.append((point, trace, task.key))
            found.append((point, values, keys))
        plan.tasks |= tasks
        records = {
            record["key"]: record
            for record in self._recorder.run(tasks.values(), self._executor, self.progress, self._report)
        }
        return [self._evaluated(point, values, [records[key] for key in keys]) for point, values, keys in found]

    def _label(self, name: str, values: Values, config: Any) -> Any:
        """Value of an axis at a point; of one that the point leaves alone, what the base says."""
        if name in values:
            return values[name].label
        try:
            value = self.space.target.lookup(config, name)
        except ConfigError:
            return None
        return repr(list(value)) if isinstance(value, tuple) else value

    def _evaluated(self, point: Point, values: Values, records: list[Record]) -> Evaluated:
        errors = [record["error"] for record in records if record["status"] == "failed"]
        return Evaluated(point, values, records, errors[0] if errors else "")

    def value(self, expression: Expression, item: Evaluated, record: Record) -> float:
        """An expression over one run's statistics, its axes and parameters. ConfigError for an unknown name."""

        def lookup(name: str) -> Any:
            if name in record["stats"]:
                found = record["stats"][name]
                if found is None:
                    raise ConfigError(f"{expression.text!r}: {name} has no value in this run")
                return found
            if name in item.values:
                return item.values[name].label
            try:
                return self.space.target.lookup(item.point.config, name)
            except ConfigError:
                raise ConfigError(
                    f"{expression.text!r}: {name!r} is neither a statistic of this run nor a parameter"
                ) from None

        return float(expression(lookup))
