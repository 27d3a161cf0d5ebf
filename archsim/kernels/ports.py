"""The SM's port to the chip: requests with timestamps, collected in an outbox that the chip empties between windows."""

from archsim.kernels.bits import popcount
from archsim.kernels.layout import ERR_REQUESTS, jit


@jit
def send(m, s, time, line, kind, sectors, tag, payload_bytes, ops, bypass):
    """Queue a request; the port moves ``sm_port_bytes`` a cycle, a header plus the payload for each request."""
    p = m.par[0]
    sm = m.sm[s]
    n = sm["requests"]
    if n >= m.requests.shape[1]:
        sm["error"] = ERR_REQUESTS
        return
    if time < sm["out_free"]:
        time = sm["out_free"]
    flits = (p["request_bytes"] + payload_bytes + p["sm_port_bytes"] - 1) // p["sm_port_bytes"]
    sm["out_free"] = time + flits
    r = m.requests[s, n]
    r["time"] = time
    r["line"] = line
    r["kind"] = kind
    r["sectors"] = sectors
    r["sm"] = s
    r["tag"] = tag
    r["bytes"] = payload_bytes
    r["ops"] = ops
    r["what"] = 0
    r["bypass"] = bypass
    sm["requests"] = n + 1
    m.stats[s]["noc_request_bytes"] += p["request_bytes"] + payload_bytes


@jit
def send_atomic(m, s, time, line, kind, sectors, tag, ins, packets):
    """Queue an atomic of ``packets`` packets: a cycle of the port each, one more for the header of a full sector set.

    Measured (H100, micro_2026-11-24.csv): a warp's RED takes 5.0 cycles of the SM's port on one line of distinct words,
    1.05 to 1.15 cycles a lane on scattered or equal addresses.
    """
    n = m.sm[s]["requests"]
    send(
        m,
        s,
        time,
        line,
        kind,
        sectors,
        tag,
        m.par[0]["sm_port_bytes"] * packets - m.par[0]["request_bytes"],
        packets,
        1,
    )
    if n < m.requests.shape[1]:
        r = m.requests[s, n]
        r["what"] = ins["arg1"]
        if packets > 1 and packets == popcount(sectors):
            m.sm[s]["out_free"] += 1
