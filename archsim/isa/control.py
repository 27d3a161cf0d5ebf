"""The compiler's scheduling fields in a 128-bit instruction word (gpu-core.md A.1; same on sm_75 to sm_120)."""

from __future__ import annotations

from archsim.isa.program import ControlBits


def decode_control(high: int) -> ControlBits:
    """Control bits from the high 64-bit word. The raw yield bit is active low: 0 means that yield is set."""
    return ControlBits(
        stall=high >> 41 & 0xF,
        yield_=not high >> 45 & 1,
        write_barrier=high >> 46 & 7,
        read_barrier=high >> 49 & 7,
        wait_mask=high >> 52 & 0x3F,
        reuse=high >> 58 & 0xF,
    )


def format_control(control: ControlBits | None) -> str:
    """``B01----:R2:W3:Y:S04`` (waits : read barrier : write barrier : yield : stall), dashes for none."""
    if control is None:
        return "B------:R-:W-:-:S--"
    waits = "".join(str(i) if control.wait_mask >> i & 1 else "-" for i in range(6))
    read = "-" if control.read_barrier == 7 else str(control.read_barrier)
    write = "-" if control.write_barrier == 7 else str(control.write_barrier)
    return f"B{waits}:R{read}:W{write}:{'Y' if control.yield_ else '-'}:S{control.stall:02d}"
