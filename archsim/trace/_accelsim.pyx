# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled parser of Accel-Sim trace bodies; same interface and results as archsim.trace.accelsim_text.BodyParser.

An instruction's static part ("1 R12 LDG.E 1 R2 4") repeats with every execution: it is compared as bytes with what
was seen before at the same PC, and only tokenised when new. Every error is worded by the plain-Python parser.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy

import re

import numpy as np

from archsim.trace.accelsim_text import BLOCK_HEADING, LABELLED_HEADING, MAX_STATIC, Chunk, ParseProblem, parse_line

cdef struct Variant:
    uint32_t pc
    uint32_t key_bytes
    char *key
    int64_t width
    int64_t immediate
    int64_t line
    uint32_t number
    uint8_t ldgsts
    int64_t next  # same hash slot, -1 none

cdef struct LineOut:
    int64_t warp
    uint32_t number
    uint32_t mask
    uint8_t has_record
    uint8_t second

cdef struct RecordOut:
    uint64_t base
    int64_t stride
    int64_t lane_begin

cdef enum:
    SLOTS = 65536
    NOT_NAMED = -2

_LINE = np.dtype(
    [("warp", "<i8"), ("number", "<u4"), ("mask", "<u4"), ("has_record", "u1"), ("second", "u1")], align=True
)
_RECORD = np.dtype([("base", "<u8"), ("stride", "<i8"), ("lane_begin", "<i8")])


cdef inline const char *skip(const char *p, const char *end) noexcept nogil:
    while p < end and (p[0] == 32 or p[0] == 9):
        p += 1
    return p


cdef inline int hex_digit(char c) noexcept nogil:
    if 48 <= c <= 57:
        return c - 48
    if 97 <= c <= 102:
        return c - 87
    if 65 <= c <= 70:
        return c - 55
    return -1


cdef inline const char *take_hex(const char *p, const char *end, uint64_t *value) noexcept nogil:
    """Parse one hexadecimal token; NULL when there is none."""
    cdef uint64_t total = 0
    cdef int digit, count = 0
    p = skip(p, end)
    if end - p > 2 and p[0] == 48 and (p[1] == 120 or p[1] == 88):
        p += 2
    while p < end:
        digit = hex_digit(p[0])
        if digit < 0:
            break
        total = (total << 4) | <uint64_t>digit
        count += 1
        p += 1
    if count == 0 or count > 16 or (p < end and p[0] != 32 and p[0] != 9):
        return NULL
    value[0] = total
    return p


cdef inline const char *take_dec(const char *p, const char *end, int64_t *value) noexcept nogil:
    """Parse one decimal token of at most 18 digits; NULL when there is none (the slow path knows 19)."""
    cdef int64_t total = 0
    cdef int count = 0
    cdef bint negative = False
    p = skip(p, end)
    if p < end and p[0] == 45:
        negative = True
        p += 1
    while p < end and 48 <= p[0] <= 57:
        total = total * 10 + (p[0] - 48)
        count += 1
        p += 1
        if count > 18:
            return NULL
    if count == 0 or (p < end and p[0] != 32 and p[0] != 9):
        return NULL
    value[0] = -total if negative else total
    return p


cdef class BodyParser:
    """See archsim.trace.accelsim_text.BodyParser."""

    cdef public object layout
    cdef public list statics
    cdef public set paired
    cdef public int64_t line, instructions
    cdef public bint collect
    cdef dict _ids
    cdef bytes _rest
    cdef int64_t _cta, _warp, _expected, _counted
    cdef object _seen_array, _previous_array
    cdef uint8_t[::1] _seen
    cdef int[::1] _previous
    cdef int64_t _gx, _gy, _gz, _warps
    cdef bint _grouped, _line_numbers, _immediates
    cdef Variant *_variants
    cdef int64_t _n_variants, _max_variants
    cdef int64_t *_slots
    cdef LineOut *_lines
    cdef int64_t _n_lines, _max_lines
    cdef RecordOut *_records
    cdef int64_t _n_records, _max_records
    cdef uint64_t *_lanes
    cdef int64_t _n_lanes, _max_lanes

    def __cinit__(self, layout):
        cdef int64_t k
        self._slots = <int64_t *>malloc(SLOTS * sizeof(int64_t))
        if self._slots == NULL:
            raise MemoryError
        for k in range(SLOTS):
            self._slots[k] = -1

    def __init__(self, layout):
        self.layout = layout
        self.statics = []
        self.paired = set()
        self._ids = {}
        self._gx, self._gy, self._gz = layout.grid
        self._warps = layout.warps_per_cta
        self._grouped = layout.grouped
        self._line_numbers = layout.line_numbers
        self._immediates = layout.immediates
        self.restart(False)

    def __dealloc__(self):
        cdef int64_t k
        for k in range(self._n_variants):
            free(self._variants[k].key)
        free(self._variants)
        free(self._slots)
        free(self._lines)
        free(self._records)
        free(self._lanes)

    def restart(self, bint collect):
        """Begin again at the top of the body; ``collect=False`` only gathers the static instructions."""
        self.collect = collect
        self.line = 0
        self.instructions = 0
        self._rest = b""
        self._cta = self._warp = self._expected = self._counted = -1
        total = self._gx * self._gy * self._gz * self._warps
        self._seen_array = np.zeros(total, np.uint8)
        self._previous_array = np.full(total, -1, np.int32)
        self._seen = self._seen_array
        self._previous = self._previous_array
        self._n_lines = self._n_records = self._n_lanes = 0

    @property
    def pending(self):
        """Parsed lines not yet taken."""
        return self._n_lines

    def feed(self, bytes data):
        """Parse the complete lines of ``data``; raises ParseProblem."""
        cdef const char *p
        cdef const char *end
        cdef const char *stop
        if self._rest:
            data = self._rest + data
        p = data
        end = p + len(data)
        while p < end:
            stop = <const char *>memchr(p, 10, end - p)
            if stop == NULL:
                break
            self._one(p, stop)
            p = stop + 1
        self._rest = p[: end - p]

    def finish(self):
        """The body has ended; raises ParseProblem when it ends too early."""
        cdef bytes rest = self._rest
        cdef const char *p
        if rest:
            self._rest = b""
            p = rest
            self._one(p, p + len(rest))
        if self._cta != -1:
            raise ParseProblem(self.line, "the trace ends inside a thread block (truncated file?)")

    def take(self):
        """What was parsed since the last call."""
        lines = _copy(<char *>self._lines, self._n_lines * sizeof(LineOut)).view(_LINE)
        records = _copy(<char *>self._records, self._n_records * sizeof(RecordOut)).view(_RECORD)
        lanes = _copy(<char *>self._lanes, self._n_lanes * 8).view(np.uint64)
        self._n_lines = self._n_records = self._n_lanes = 0
        return Chunk(
            *(np.ascontiguousarray(lines[name]) for name in ("warp", "number", "mask", "has_record", "second")),
            *(np.ascontiguousarray(records[name]) for name in ("base", "stride", "lane_begin")),
            lanes,
        )

    cdef int _one(self, const char *p, const char *end) except -1:
        self.line += 1
        p = skip(p, end)
        while end > p and ((end - 1)[0] == 32 or (end - 1)[0] == 9 or (end - 1)[0] == 13):
            end -= 1
        while p < end and p[0] == 13:  # the reference strips carriage returns at both ends
            p = skip(p + 1, end)
        if p == end:
            return 0
        if p[0] == 35:
            return self._directive(p, end)
        if not self._grouped:
            return self._raw(p, end)
        if p[0] == 116 or p[0] == 119 or p[0] == 105:
            return self._heading(p, end)
        if self._warp < 0:
            self._fail("an instruction outside a warp")
        return self._instruction(self._warp, p, end)

    cdef int _fail(self, str message) except -1:
        raise ParseProblem(self.line, message)

    cdef int _raw(self, const char *p, const char *end) except -1:
        cdef int64_t part[4]
        cdef const char *q = p
        cdef const char *start
        cdef int k
        for k in range(4):
            start = skip(q, end)
            q = take_dec(start, end, &part[k])
            if q == NULL or start[0] == 45 or q - start > 10:
                return self._raw_slow(p[: end - p])
        return self._instruction(self._warp_of(part[0], part[1], part[2], part[3]), q, end)

    cdef int _raw_slow(self, bytes text) except -1:
        """A raw line with unusual white space, or none at all."""
        cdef const char *p
        tokens = text.split()
        if len(tokens) < 4 or not all(re.match(rb"[0-9]{1,10}\Z", token) for token in tokens[:4]):
            self._fail("a raw line starts with four numbers: block x, y, z and warp")
        x, y, z, warp = (int(token) for token in tokens[:4])
        rest = b" ".join(tokens[4:])
        p = rest
        return self._instruction(self._warp_of(x, y, z, warp), p, p + len(rest))

    cdef int64_t _warp_of(self, int64_t x, int64_t y, int64_t z, int64_t warp) except -1:
        if x >= self._gx or y >= self._gy or z >= self._gz:
            self._fail(f"thread block {x},{y},{z} lies outside the grid ({self._gx},{self._gy},{self._gz})")
        if warp >= self._warps:
            self._fail(f"warp {warp} in a block of {self._warps} warps")
        return (x + self._gx * (y + self._gy * z)) * self._warps + warp

    cdef int _directive(self, const char *p, const char *end) except -1:
        if end - p == 9 and memcmp(p, b"#BEGIN_TB", 9) == 0:
            if not self._grouped:
                self._fail("#BEGIN_TB in a raw (ungrouped) trace")
            if self._cta != -1:
                self._fail("#BEGIN_TB inside a thread block")
            self._warp = self._expected = -1
            self._cta = NOT_NAMED
        elif end - p == 7 and memcmp(p, b"#END_TB", 7) == 0:
            if self._cta == -1:
                self._fail("#END_TB without #BEGIN_TB")
            self._close_warp()
            self._cta = self._warp = -1
        return 0

    cdef int _heading(self, const char *p, const char *end) except -1:
        cdef bytes text = p[: end - p]
        if self._cta == -1:
            self._fail("a heading outside #BEGIN_TB .. #END_TB")
        block = BLOCK_HEADING.match(text)
        if block:
            if self._cta != NOT_NAMED:
                self._fail("a second 'thread block' line in one thread block")
            x, y, z = (int(n) for n in block.groups())
            self._cta = self._warp_of(x, y, z, 0) // self._warps
            return 0
        other = LABELLED_HEADING.match(text)
        if not other:
            self._fail(f"{text[:40].decode(errors='replace')!r} is not a heading of a trace")
        number = int(other[2])
        if self._cta == NOT_NAMED:
            self._fail("a warp before its 'thread block' line")
        if other[1] == b"insts":
            if self._warp < 0 or self._expected >= 0:
                self._fail("'insts' without 'warp'")
            self._expected = number
            self._counted = 0
            return 0
        self._close_warp()
        if number >= self._warps:
            self._fail(f"warp {number} in a block of {self._warps} warps")
        self._warp = self._cta * self._warps + number
        if self._seen[self._warp]:
            self._fail(f"warp {number} of this thread block appears twice")
        self._seen[self._warp] = 1
        self._expected = -1
        return 0

    cdef int _close_warp(self) except -1:
        if self._warp >= 0 and self._expected < 0:
            self._fail("a warp without 'insts'")
        if self._warp >= 0 and self._counted != self._expected:
            self._fail(f"the warp says {self._expected} instructions, {self._counted} follow")
        return 0

    cdef int _instruction(self, int64_t warp, const char *p, const char *end) except -1:
        cdef const char *begin = p
        cdef const char *q
        cdef const char *after
        cdef uint64_t pc, mask
        cdef int64_t line = 0, immediate = 0, k, found = -1
        cdef uint64_t base = 0
        cdef int64_t stride = 0
        cdef uint64_t addresses[32]
        cdef int kind = 0  # 0 no record, 1 affine, 2 list
        if self._grouped:
            if self._expected < 0:
                self._fail("an instruction before 'insts'")
            self._counted += 1
        q = p
        if self._line_numbers:
            q = take_dec(q, end, &line)
            if q == NULL:
                return self._slow(warp, begin, end)
        q = take_hex(q, end, &pc)
        if q == NULL:
            return self._slow(warp, begin, end)
        q = take_hex(q, end, &mask)
        if q == NULL or pc >> 32 or mask >> 32:
            return self._slow(warp, begin, end)
        q = skip(q, end)
        k = self._slots[(pc >> 3) & (SLOTS - 1)]
        while k >= 0:
            if self._variants[k].pc == pc and end - q >= self._variants[k].key_bytes:
                after = q + self._variants[k].key_bytes
                if (after == end or after[0] == 32 or after[0] == 9) and memcmp(
                    q, self._variants[k].key, self._variants[k].key_bytes
                ) == 0:
                    found = k
                    break
            k = self._variants[k].next
        if found < 0:
            return self._slow(warp, begin, end)
        if self._variants[found].width:
            after = self._addresses(<uint32_t>mask, after, end, &kind, &base, &stride, addresses)
            if after == NULL:
                return self._slow(warp, begin, end)
        if self._immediates:
            after = take_dec(after, end, &immediate)
            if after == NULL:
                return self._slow(warp, begin, end)
        if skip(after, end) != end:
            return self._slow(warp, begin, end)
        while found >= 0:  # functions share PCs: the same text may carry another immediate or line
            if (
                self._variants[found].pc == pc
                and self._variants[found].immediate == immediate
                and self._variants[found].line == line
                and end - q >= self._variants[found].key_bytes
                and memcmp(q, self._variants[found].key, self._variants[found].key_bytes) == 0
                and (q + self._variants[found].key_bytes == end or q[self._variants[found].key_bytes] in (32, 9))
            ):
                return self._emit(
                    warp, self._variants[found].number, self._variants[found].ldgsts, <uint32_t>mask, kind, base,
                    stride, addresses,
                )
            found = self._variants[found].next
        return self._slow(warp, begin, end)

    cdef const char *_addresses(
        self, uint32_t mask, const char *p, const char *end, int *kind, uint64_t *base, int64_t *stride,
        uint64_t *addresses
    ) noexcept:
        """Read mode and addresses; fills kind (0 none, 1 affine, 2 list). NULL when something is wrong."""
        cdef int64_t mode, step
        cdef int count = 0, k, first = 0, gap
        cdef uint64_t low
        cdef int lane_of[32]
        p = take_dec(p, end, &mode)
        if p == NULL:
            return NULL
        for k in range(32):
            if mask >> k & 1:
                lane_of[count] = k
                count += 1
        if mode == 0:
            for k in range(count):
                p = take_hex(p, end, &addresses[k])
                if p == NULL:
                    return NULL
        elif mode == 1:
            p = take_hex(p, end, &low)
            if p == NULL:
                return NULL
            p = take_dec(p, end, &step)
            if p == NULL or mask & (mask + (mask & (~mask + 1))):
                return NULL
            if count == 1:
                step = 0
            if count:
                kind[0] = 1
                base[0] = low - <uint64_t>step * <uint64_t>lane_of[0]
                stride[0] = step
                if count == 1:
                    base[0] = low
            return p
        elif mode == 2:
            p = take_hex(p, end, &addresses[0])
            if p == NULL:
                return NULL
            for k in range(1, count):
                p = take_dec(p, end, &step)
                if p == NULL:
                    return NULL
                addresses[k] = addresses[k - 1] + <uint64_t>step
        else:
            return NULL
        if count == 0:
            return p
        kind[0] = 1
        stride[0] = 0
        base[0] = addresses[0]
        if count == 1:
            return p
        step = <int64_t>(addresses[1] - addresses[0])
        gap = lane_of[1] - lane_of[0]
        if step % gap == 0:
            step = step / gap
            low = addresses[0] - <uint64_t>step * <uint64_t>lane_of[0]
            for k in range(1, count):
                if low + <uint64_t>step * <uint64_t>lane_of[k] != addresses[k]:
                    break
            else:
                base[0] = low
                stride[0] = step
                return p
        kind[0] = 2
        return p

    cdef int _slow(self, int64_t warp, const char *p, const char *end) except -1:
        """A line seen for the first time, or wrong: the reference parser decides."""
        cdef uint64_t addresses[32]
        cdef int kind = 0, k
        cdef bytes text = p[: end - p]
        try:
            parsed = parse_line(text.split(), self.layout)
        except ValueError as error:
            raise ParseProblem(self.line, str(error)) from None
        static = parsed.static
        number = self._ids.get(static)
        if number is None:
            if len(self.statics) >= MAX_STATIC:
                self._fail(f"more than {MAX_STATIC} different instructions")
            number = len(self.statics)
            self._ids[static] = number
            self.statics.append(static)
        self._remember(text, static, number)
        base, stride = 0, 0
        if parsed.record is not None:
            base, stride, listed = parsed.record
            kind = 1 if listed is None else 2
            if listed is not None:
                for k in range(len(listed)):
                    addresses[k] = listed[k]
        return self._emit(
            warp, number, static.text.startswith("LDGSTS"), parsed.mask, kind, base, stride, addresses
        )

    cdef int _remember(self, bytes text, object static, uint32_t number) except -1:
        """Keep the bytes of the static part, so that the next execution is recognised."""
        cdef Variant *grown
        cdef int64_t slot
        cdef bytes key
        prefix = rb"\s*(?:-?\d+\s+)" if self._line_numbers else rb"\s*"
        head = re.match(prefix + rb"\S+\s+\S+\s+", text)
        rest = text[head.end():]
        words = rest.split()
        dests = int(words[0])
        count = 4 + dests + int(words[2 + dests])
        position = 0
        for _ in range(count):
            token = re.compile(rb"\s*\S+").match(rest, position)
            position = token.end()
        key = rest[:position]
        if b"\r" in key or b"\v" in key or b"\f" in key:
            return 0
        if self._n_variants == self._max_variants:
            self._max_variants = 2 * self._max_variants + 256
            grown = <Variant *>realloc(self._variants, self._max_variants * sizeof(Variant))
            if grown == NULL:
                raise MemoryError
            self._variants = grown
        slot = (<int64_t>static.pc >> 3) & (SLOTS - 1)
        self._variants[self._n_variants].key = <char *>malloc(len(key))
        if self._variants[self._n_variants].key == NULL:
            raise MemoryError
        memcpy(self._variants[self._n_variants].key, <char *>key, len(key))
        self._variants[self._n_variants].key_bytes = len(key)
        self._variants[self._n_variants].pc = static.pc
        self._variants[self._n_variants].width = static.mem_width
        self._variants[self._n_variants].immediate = static.immediate
        self._variants[self._n_variants].line = static.line
        self._variants[self._n_variants].number = number
        self._variants[self._n_variants].ldgsts = static.text.startswith("LDGSTS")
        self._variants[self._n_variants].next = self._slots[slot]
        self._slots[slot] = self._n_variants
        self._n_variants += 1
        return 0

    cdef int _emit(
        self, int64_t warp, uint32_t number, bint ldgsts, uint32_t mask, int kind, uint64_t base, int64_t stride,
        uint64_t *addresses
    ) except -1:
        cdef bint second = False
        cdef int k
        cdef int64_t count = 0
        if ldgsts:
            second = self._previous[warp] == <int>number
            if second:
                self.paired.add(number)
        self._previous[warp] = -1 if second else <int>number
        self.instructions += 1
        if not self.collect:
            return 0
        self._grow()
        self._lines[self._n_lines] = LineOut(warp, number, mask, kind != 0, second)
        self._n_lines += 1
        if kind == 0:
            return 0
        self._records[self._n_records] = RecordOut(base, stride, -1)
        if kind == 2:
            self._records[self._n_records].base = addresses[0]
            self._records[self._n_records].stride = 0
            self._records[self._n_records].lane_begin = self._n_lanes
            for k in range(32):
                if mask >> k & 1:
                    self._lanes[self._n_lanes + count] = addresses[count]
                    count += 1
            self._n_lanes += count
        self._n_records += 1
        return 0

    cdef int _grow(self) except -1:
        cdef void *grown
        if self._n_lines == self._max_lines:
            self._max_lines = 2 * self._max_lines + 4096
            grown = realloc(self._lines, self._max_lines * sizeof(LineOut))
            if grown == NULL:
                raise MemoryError
            self._lines = <LineOut *>grown
        if self._n_records == self._max_records:
            self._max_records = 2 * self._max_records + 4096
            grown = realloc(self._records, self._max_records * sizeof(RecordOut))
            if grown == NULL:
                raise MemoryError
            self._records = <RecordOut *>grown
        if self._n_lanes + 32 > self._max_lanes:
            self._max_lanes = 2 * self._max_lanes + 4096
            grown = realloc(self._lanes, self._max_lanes * 8)
            if grown == NULL:
                raise MemoryError
            self._lanes = <uint64_t *>grown
        return 0


cdef object _copy(char *source, int64_t size):
    out = np.empty(size, np.uint8)
    cdef uint8_t[::1] view
    if size:
        view = out
        memcpy(&view[0], source, size)
    return out
