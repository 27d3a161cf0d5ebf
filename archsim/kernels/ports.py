"""The SM's port to the chip: requests with timestamps, collected in an outbox that the chip empties between windows."""

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
    r["bypass"] = bypass
    sm["requests"] = n + 1
    m.stats[s]["noc_request_bytes"] += p["request_bytes"] + payload_bytes
