"""Where each warp's segments are: a lookup table over (warp, segment), whatever the order they were written in."""

from __future__ import annotations

import numpy as np

from archsim.errors import TraceError
from archsim.trace.layout import Array, LaunchInfo


class SegmentIndex:
    """Maps (CTA, warp, segment) to a row of the segment table.

    ``warp_ids``: i8[n] cta * warps_per_cta + warp of each row; ``segments``: i8[n]. Every recorded warp must have
    the segments 0..k-1 exactly once; otherwise :class:`TraceError`, prefixed by ``where``.
    """

    def __init__(self, warp_ids: Array, segments: Array, launch: LaunchInfo, where: str) -> None:
        warp_ids = np.asarray(warp_ids, np.int64)
        segments = np.asarray(segments, np.int64)
        self.warps_per_cta = launch.warps_per_cta
        self.num_ctas = launch.num_ctas
        self._where = where
        if len(warp_ids) and (warp_ids.min() < 0 or warp_ids.max() >= self.num_ctas * self.warps_per_cta):
            raise TraceError(f"{where}: a warp lies outside the grid {launch.grid} of {self.warps_per_cta}-warp blocks")
        if len(warp_ids) > 1:
            step = np.diff(warp_ids)
            in_order = bool(np.all((step > 0) | ((step == 0) & (np.diff(segments) > 0))))
        else:
            in_order = True
        self._order = None if in_order else np.lexsort((segments, warp_ids))
        ids = warp_ids if self._order is None else warp_ids[self._order]
        numbers = segments if self._order is None else segments[self._order]
        starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]]) if len(ids) else np.zeros(0, np.int64)
        self.warp_ids = ids[starts]  # sorted, one per recorded warp
        self.counts = np.diff(np.r_[starts, len(ids)])
        self._starts = starts
        wrong = np.flatnonzero(numbers != np.arange(len(ids)) - np.repeat(starts, self.counts))
        if len(wrong):
            cta, warp = divmod(int(ids[wrong[0]]), self.warps_per_cta)
            raise TraceError(
                f"{where}: segment {int(numbers[wrong[0]])} of CTA {cta} warp {warp} is repeated or missing"
            )

    def rows_of_first(self, first: int, count: int) -> tuple[Array, Array]:
        """(rows of segment 0, positions in ``warp_ids``) of the recorded warps of CTAs first..first+count-1."""
        if first < 0 or count < 0 or first + count > self.num_ctas:
            raise TraceError(f"{self._where}: CTAs {first}..{first + count - 1} asked, the grid has {self.num_ctas}")
        low = np.searchsorted(self.warp_ids, first * self.warps_per_cta)
        high = np.searchsorted(self.warp_ids, (first + count) * self.warps_per_cta)
        places = np.arange(low, high)
        return self._rows(self._starts[places]), places

    def rows_of(self, ctas: Array, warps: Array, segments: Array) -> tuple[Array, Array]:
        """(rows, positions in ``warp_ids``) of the named segments; TraceError if one does not exist."""
        ctas, warps, segments = (np.asarray(a, np.int64).reshape(-1) for a in (ctas, warps, segments))
        ids = ctas * self.warps_per_cta + warps
        places = np.searchsorted(self.warp_ids, ids)
        inside = np.minimum(places, max(len(self.warp_ids) - 1, 0))
        ok = np.zeros(len(ids), bool)
        if len(self.warp_ids):
            ok = (self.warp_ids[inside] == ids) & (segments >= 0) & (segments < self.counts[inside])
            ok &= (warps >= 0) & (warps < self.warps_per_cta)
        if not ok.all():
            bad = int(np.flatnonzero(~ok)[0])
            raise TraceError(
                f"{self._where}: no segment {segments[bad]} of CTA {ctas[bad]} warp {warps[bad]} in this trace"
            )
        return self._rows(self._starts[inside] + segments), inside

    @property
    def recorded_ctas(self) -> Array:
        """i8[]: the CTAs that have at least one warp in the trace, ascending."""
        return np.unique(self.warp_ids // self.warps_per_cta)

    def per_cta(self, values: Array, first: int, count: int) -> Array:
        """i8[count]: sums over each CTA's segments of ``values`` (one per table row)."""
        _, places = self.rows_of_first(first, count)
        if not len(places):
            return np.zeros(count, np.int64)
        low, high = places[0], places[-1] + 1
        positions = np.arange(self._starts[low], self._starts[high - 1] + self.counts[high - 1])
        owners = np.repeat(self.warp_ids[low:high] // self.warps_per_cta - first, self.counts[low:high])
        sums = np.zeros(count, np.int64)
        np.add.at(sums, owners, values[self._rows(positions)])
        return sums

    def _rows(self, positions: Array) -> Array:
        return positions if self._order is None else self._order[positions]
