"""Token loop of the PIM-GPT accelerator: instructions on three resources (pins, banks, ASIC), with refresh.

``paper`` mode follows the published engine: an instruction starts when both the ASIC and the PIM package are idle, so
the instructions of a token run one after the other. ``overlap`` mode starts an instruction as soon as its operands are
there and its resource has finished the previous one. Refresh comes at the border between two instructions: all-bank,
one for every refresh interval that has passed.

Times are int64 picoseconds.
"""

import numpy as np

from archsim.kernels.layout import jit

PINS = 0
BANKS = 1
ASIC = 2
REFRESH = 3
UNITS = 4

PAPER = 0
OVERLAP = 1

LAYER_START = -1  # the previous layer of the same sequence
NO_DEPENDENCE = -2

INSTRUCTION = np.dtype(
    [
        ("op", "i4"),
        ("unit", "i4"),
        ("sequence", "i4"),
        ("keeps_row", "i4"),  # its first column is in the row that the previous instruction of the banks left open
        ("after", "i4", 3),  # instructions (of the same layer) that it waits for
        ("duration_ps", "i8"),
        ("pins_ps", "i8"),  # time that a banks instruction keeps the pins for its results
    ]
)

PARAMETERS = np.dtype([("mode", "i8"), ("refi_ps", "i8"), ("rfc_ps", "i8"), ("reopen_ps", "i8"), ("sequences", "i8")])

STATE = np.dtype([("now_ps", "i8"), ("due_ps", "i8"), ("refreshes", "i8"), ("reopened", "i8"), ("most_owed", "i8")])


@jit
def run_layers(program, layers, par, state, busy, ready, ends, log):
    """Run ``layers`` times the ``program`` of one layer; the state goes on from the previous call.

    Args:
        program: INSTRUCTION[n].
        layers: how often.
        par: PARAMETERS[1]; refi_ps 0 turns refresh off.
        state: STATE[1].
        busy: i8[ops, UNITS], picoseconds by operation and unit, added to; the refresh between two instructions counts
            for the one that follows it.
        ready: i8[sequences + 3]: end of the last layer of each sequence, then when pins, banks and ASIC are free.
        ends: i8[n], scratch.
        log: i8[layers * n + 1, 2] for start and end of every instruction, or i8[0, 2].
    """
    p = par[0]
    s = state[0]
    free = p["sequences"]
    for layer in range(layers):
        for i in range(program.size):
            one = program[i]
            unit = one["unit"]
            sequence = one["sequence"]
            if p["mode"] == PAPER:
                start = s["now_ps"]
            else:
                start = ready[free + unit]
                for k in range(3):
                    other = one["after"][k]
                    if other >= 0:
                        start = max(start, ends[other])
                    elif other == LAYER_START:
                        start = max(start, ready[sequence])
            duration = one["duration_ps"]
            if p["refi_ps"] > 0 and (unit == BANKS or p["mode"] == PAPER):
                begin = start if p["mode"] == PAPER else ready[free + BANKS]
                owed = 0
                while start >= s["due_ps"]:
                    # Idle banks refresh at once; busy ones when the instruction before has ended.
                    begin = max(begin, s["due_ps"]) + p["rfc_ps"]
                    start = max(start, begin)
                    s["due_ps"] += p["refi_ps"]
                    s["refreshes"] += 1
                    busy[one["op"], REFRESH] += p["rfc_ps"]
                    owed += 1
                s["most_owed"] = max(s["most_owed"], owed)
                if owed > 0 and one["keeps_row"] == 1:
                    duration += p["reopen_ps"]
                    s["reopened"] += 1
            end = start + duration
            ends[i] = end
            busy[one["op"], unit] += duration
            if p["mode"] == PAPER:
                s["now_ps"] = end
            else:
                ready[free + unit] = end
                if one["pins_ps"] > 0:
                    ready[free + PINS] = max(ready[free + PINS], start) + one["pins_ps"]
                s["now_ps"] = max(s["now_ps"], end)
            if log.shape[0] > 0:
                log[layer * program.size + i, 0] = start
                log[layer * program.size + i, 1] = end
        for i in range(program.size):
            ready[program[i]["sequence"]] = max(ready[program[i]["sequence"]], ends[i])


def run_tokens(program, first, layers, par, state, busy, ready, ends, token_end, log):
    """Run many tokens: token t executes ``program[first[t] : first[t + 1]]``, of which each part is one layer's.

    ``first``: i8[tokens, 3]: begin of the layer program, of the closing program (final norm and output head, run
    once), and its end. ``token_end``: i8[tokens], picoseconds. Everything else as in `run_layers`.
    """
    for t in range(token_end.size):
        run_layers(program[first[t, 0] : first[t, 1]], layers, par, state, busy, ready, ends, log)
        if first[t, 2] > first[t, 1]:
            run_layers(program[first[t, 1] : first[t, 2]], 1, par, state, busy, ready, ends, log[:0])
        token_end[t] = state[0]["now_ps"]
