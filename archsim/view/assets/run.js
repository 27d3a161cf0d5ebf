// The page of one run, or of two compared: data.runs[0] is the run, data.runs[1] the other one.

function runPage(data) {
  const run = data.runs[0];
  const other = data.runs[1] || null;
  let current = run.kernels.reduce((a, b) => (b.cycles > a.cycles ? b : a), run.kernels[0]);
  const label = (k) => `${k.index}: ${k.name}`;
  const mainStall = (k) => data.reasons.slice(1).map((r) => [k.stalls[r.name], r.name]).sort((a, b) => b[0] - a[0])[0];

  function kernelColumns() {
    const derived = (name) => (k) => k.derived[name] ?? null;
    return [
      { name: "#", key: (k) => k.index, num: true },
      { name: "kernel", key: (k) => k.name, code: true },
      { name: "grid", key: (k) => k.grid, code: true },
      { name: "block", key: (k) => k.block, code: true },
      { name: "cycles", key: (k) => k.cycles, num: true, title: "launch to the end of the last block" },
      { name: "elapsed ms", key: derived("elapsed_ms"), num: true, show: (k) => number(k.derived.elapsed_ms, 4) },
      { name: "warp-instructions", key: (k) => k.warp_instructions, num: true },
      { name: "IPC", key: derived("ipc"), num: true },
      { name: "occupancy", key: derived("achieved_occupancy"), num: true, show: (k) => percent(k.derived.achieved_occupancy) },
      { name: "L1D hits", key: derived("l1d_hit_rate"), num: true, show: (k) => percent(k.derived.l1d_hit_rate) },
      { name: "L2 hits", key: derived("l2_read_hit_rate"), num: true, show: (k) => percent(k.derived.l2_read_hit_rate) },
      { name: "DRAM GB/s", key: derived("dram_bandwidth_gbps"), num: true, show: (k) => number(k.derived.dram_bandwidth_gbps, 1) },
      { name: "main stall", key: (k) => mainStall(k)[1], show: (k) => `${mainStall(k)[1]} ${percent(mainStall(k)[0] / k.issue_slots)}` },
    ];
  }

  function stallStack(id, kernels) {
    const names = kernels.map(label);
    const traces = data.reasons.map((r) => ({
      type: "bar", orientation: "h", name: r.name, y: names, marker: { color: r.color },
      x: kernels.map((k) => (100 * k.stalls[r.name]) / k.issue_slots),
      customdata: kernels.map((k) => k.stalls[r.name]),
      hovertemplate: `<b>%{y}</b><br>${r.name}: %{x:.2f} %, %{customdata:,} slots<br>${r.doc}<extra></extra>`,
    }));
    const layout = { barmode: "stack", xaxis: { title: { text: "% of issue slots" }, range: [0, 100] }, yaxis: { automargin: true, autorange: "reversed" }, legend: { traceorder: "normal" } };
    return plot(id, traces, layout, Math.max(340, 120 + 26 * names.length));
  }

  function overview(section) {
    const pick = (k) => { current = k; ["timeline", "source", "metrics"].forEach(tabs.forget); document.getElementById("chosen").textContent = label(k); };
    const table = sortable(kernelColumns(), run.kernels, { onRow: pick, chosen: (k) => k === current });
    table.id = "kernels";
    section.append(node("p", { className: "note" }, "A click on a heading sorts; a click on a row chooses the launch that the other tabs show: ", node("b", { id: "chosen", textContent: label(current) })));
    section.append(node("div", { className: "scroll" }, table), node("h2", { textContent: "Where the issue slots went" }));
    const longest = [...run.kernels].sort((a, b) => b.cycles - a.cycles).slice(0, 40).sort((a, b) => a.index - b.index);
    const stack = stallStack("stalls", longest);
    section.append(stack, node("h2", { textContent: "Roofline: warp-instructions over 32-byte transactions" }));
    const roof = roofline("roofline");
    section.append(roof);
    stack.draw();
    roof.draw();
  }

  function roofline(id) {
    const traces = [];
    const r = run.roofline;
    const xs = r.points.map((p) => p.intensity);
    const [low, high] = [Math.min(0.01, ...xs) / 2, Math.max(100, ...xs) * 2];
    for (const [name, rate] of Object.entries(r.transactions_per_ns)) {
      const knee = r.peak_instructions_per_ns / rate;
      traces.push({ type: "scatter", mode: "lines", name: `${name} ${number(rate, 1)} G transactions/s`, x: [low, knee], y: [low * rate, r.peak_instructions_per_ns], hoverinfo: "name" });
    }
    traces.push({ type: "scatter", mode: "lines", name: `issue ${number(r.peak_instructions_per_ns, 0)} G instructions/s`, x: [low, high], y: [r.peak_instructions_per_ns, r.peak_instructions_per_ns], line: { color: "#333" }, hoverinfo: "name" });
    for (const level of ["L1", "L2", "DRAM"]) {
      const points = r.points.filter((p) => p.level === level);
      traces.push({ type: "scatter", mode: "markers", name: "kernels, " + level, x: points.map((p) => p.intensity), y: points.map((p) => p.instructions_per_ns), text: points.map((p) => `${p.index}: ${p.kernel}`), marker: { size: 9, symbol: { L1: "circle", L2: "square", DRAM: "diamond" }[level] }, hovertemplate: `%{text}<br>${level}: %{x:.3g} instructions/transaction, %{y:.3g} G/s<extra></extra>` });
    }
    return plot(id, traces, { xaxis: { type: "log", dtick: 1, title: { text: "warp-instructions per transaction" } }, yaxis: { type: "log", dtick: 1, title: { text: "G warp-instructions/s" } } });
  }

  function series(lines) {
    const n = lines.edges.length - 1;
    const width = (i) => lines.edges[i + 1] - lines.edges[i];
    const per = (name, scale) => Array.from({ length: n }, (_, i) => (scale * lines.counters[name][i]) / width(i));
    const rate = (part, whole) => Array.from({ length: n }, (_, i) => {
      const all = lines.counters[whole][i];
      return all > 0 ? (100 * part.reduce((sum, name) => sum + lines.counters[name][i], 0)) / all : null;
    });
    return [
      ["y2", "IPC of the chip", per("warp_instructions", 1)],
      ["y2", "resident warps of an SM", per("warp_cycles", 1 / run.num_sms)],
      ["y3", "L1D hit rate, %", rate(["load_sector_hits", "load_sector_pending"], "load_sectors")],
      ["y3", "L2 read hit rate, %", rate(["l2_read_hits"], "l2_read_sectors")],
      ["y4", "L2 read, bytes/cycle", per("l2_read_sectors", 32)],
      ["y4", "L2 written, bytes/cycle", per("l2_write_sectors", 32)],
      ["y4", "DRAM read, bytes/cycle", per("dram_read_bytes", 1)],
      ["y4", "DRAM written, bytes/cycle", per("dram_write_bytes", 1)],
    ];
  }

  const steps = (edges) => ({ x: edges, line: { shape: "hv", width: 1 } });
  const closed = (values) => [...values, values[values.length - 1]];

  function timeline(section) {
    const lines = current.timeline;
    section.append(node("p", { className: "note" }, node("b", { textContent: label(current) }), ". Drag over the picture to zoom, double-click to see all; the table below is of the cycles shown."));
    if (!lines) {
      section.append(node("p", { className: "warn", textContent: current.detail ? "This launch was run with --timeline 0." : "Only the longest launches have their timeline on this page." }));
      return;
    }
    const total = lines.edges.slice(1).map((e, i) => data.reasons.reduce((sum, r) => sum + lines.stalls[r.name][i], 0));
    const traces = data.reasons.filter((r) => lines.stalls[r.name].some((v) => v > 0)).map((r) => ({
      ...steps(lines.edges), type: "scatter", mode: "lines", name: r.name, stackgroup: "slots", fillcolor: r.color, yaxis: "y",
      line: { shape: "hv", width: 0, color: r.color }, hovertemplate: `${r.name} %{y:.1f} %<extra></extra>`,
      y: closed(lines.stalls[r.name].map((v, i) => (100 * v) / total[i])),
    }));
    for (const [axis, name, y] of series(lines)) traces.push({ ...steps(lines.edges), type: "scatter", mode: "lines", name, yaxis: axis, y: closed(y), hovertemplate: `${name} %{y:.3g}<extra></extra>` });
    const area = plot("timeline-plot", traces, {
      hovermode: "x unified", xaxis: { title: { text: "cycles since launch" }, anchor: "y4", range: [0, lines.edges[lines.edges.length - 1]] },
      yaxis: { domain: [0.58, 1], title: { text: "% of slots" }, range: [0, 100], fixedrange: true },
      yaxis2: { domain: [0.39, 0.55], title: { text: "issue" }, rangemode: "tozero", fixedrange: true },
      yaxis3: { domain: [0.2, 0.36], title: { text: "hits, %" }, range: [0, 101], fixedrange: true },
      yaxis4: { domain: [0, 0.17], title: { text: "bytes/cycle" }, rangemode: "tozero", fixedrange: true },
    }, 760);
    const shown = node("div", { id: "shown" });
    section.append(area, shown);
    const summary = () => { shown.replaceChildren(window_table(lines, area.layout.xaxis.range)); };
    area.draw().then(() => { area.on("plotly_relayout", summary); summary(); });
  }

  function window_table(lines, range) {
    const [first, last] = range.map(Number);
    const inside = lines.edges.slice(0, -1).map((e, i) => i).filter((i) => lines.edges[i + 1] > first && lines.edges[i] < last);
    if (!inside.length) return node("p", { textContent: "no cycles" });
    const sums = data.reasons.map((r) => ({ name: r.name, doc: r.doc, slots: inside.reduce((sum, i) => sum + lines.stalls[r.name][i], 0) })).filter((r) => r.slots);
    const all = sums.reduce((sum, r) => sum + r.slots, 0);
    const table = sortable([
      { name: "fate of a slot", key: (r) => r.name }, { name: "slots", key: (r) => r.slots, num: true },
      { name: "%", key: (r) => r.slots, num: true, show: (r) => percent(r.slots / all) }, { name: "meaning", key: (r) => r.doc },
    ], sums);
    const [from, to] = [lines.edges[inside[0]], lines.edges[inside[inside.length - 1] + 1]];
    return node("div", {}, node("h2", { id: "shown-cycles", textContent: `Cycles ${number(from)} to ${number(to)}` }), table);
  }

  function source(section) {
    const code = current.source;
    section.append(node("p", { className: "note" }, node("b", { textContent: label(current) }), code ? ". Each issue slot is charged to one instruction: the one issued, or the one that the first stalled warp was to issue next. Rest on a row for its reasons." : ""));
    if (!code) {
      section.append(node("p", { className: "warn", textContent: current.detail ? "No counters by instruction: run with `archsim run --per-pc`." : "Only the longest launches have their listing on this page." }));
      return;
    }
    const rows = code.listing.map(([address, control, text, name], i) => ({ i, address, control, text, name, by: {}, slots: 0 }));
    for (const [row, reason, slots] of code.slots) {
      if (row >= rows.length) continue;
      rows[row].by[data.reasons[reason].name] = slots;
      rows[row].slots += slots;
    }
    const all = rows.reduce((sum, r) => sum + r.slots, 0);
    const most = Math.max(1, ...rows.map((r) => r.slots));
    const top = (r) => Object.entries(r.by).filter(([name]) => name !== "issued").sort((a, b) => b[1] - a[1])[0] || ["", 0];
    const bar = (r) => {
      const made = node("span", { className: "bar" });
      for (const reason of data.reasons) {
        const slots = r.by[reason.name] || 0;
        if (slots) {
          const part = node("span");
          part.style.cssText = `width:${(100 * slots) / most}%;background:${reason.color}`;
          made.append(part);
        }
      }
      return made;
    };
    const columns = [
      { name: "#", key: (r) => r.i, num: true },
      { name: "address", key: (r) => r.address, code: true, show: (r) => "0x" + r.address.toString(16).padStart(4, "0") },
      { name: "control bits", key: (r) => r.control, code: true, title: "waits : read barrier : write barrier : yield : stall" },
      { name: "SASS", key: (r) => r.text, code: true },
      { name: "issued", key: (r) => r.by.issued || 0, num: true },
      { name: "slots", key: (r) => r.slots, num: true },
      { name: "%", key: (r) => r.slots, num: true, show: (r) => (all ? percent(r.slots / all) : "-") },
      { name: "slots by fate", key: (r) => r.slots, show: bar },
      { name: "main stall", key: (r) => top(r)[1], show: (r) => (top(r)[1] ? `${top(r)[0]} ${number(top(r)[1])}` : "") },
    ];
    const hint = (r) => [r.text, ...data.reasons.filter((x) => r.by[x.name]).map((x) => `${x.name.padEnd(18)} ${number(r.by[x.name]).padStart(12)}  ${percent(r.by[x.name] / r.slots)}`)].join("\n");
    const table = sortable(columns, rows, { hint });
    table.id = "listing";
    section.append(node("div", { className: "scroll" }, table));
  }

  function metrics(section) {
    const rows = Object.entries(current.metrics || {}).map(([name, value]) => ({ name, value, unit: data.metric_docs[name][0], doc: data.metric_docs[name][1] }));
    const place = node("div", { className: "scroll" });
    const draw = (word) => {
      const table = sortable([
        { name: "metric", key: (r) => r.name, code: true }, { name: "value", key: (r) => r.value, num: true },
        { name: "unit", key: (r) => r.unit }, { name: "meaning", key: (r) => r.doc },
      ], rows.filter((r) => (r.name + " " + r.doc).toLowerCase().includes(word.toLowerCase())));
      table.id = "metric-table";
      place.replaceChildren(table);
    };
    const box = node("input", { id: "metric-filter", placeholder: "part of a name or meaning" });
    box.oninput = () => draw(box.value);
    section.append(node("p", { className: "note" }, node("b", { textContent: label(current) }), " ", box), place);
    draw("");
  }

  function config(section) {
    const table = sortable([{ name: "parameter", key: (r) => r[0], code: true }, { name: "value", key: (r) => r[1], code: true }], Object.entries(run.config));
    table.id = "config-table";
    section.append(node("div", { className: "scroll" }, table));
  }

  function pairs() {
    const left = [...other.kernels];
    const same = (a, b) => a.name === b.name && a.grid === b.grid && a.block === b.block;
    const found = [];
    for (const a of run.kernels) {
      const at = left.findIndex((b) => same(a, b));
      if (at >= 0) found.push({ a, b: left.splice(at, 1)[0] });
    }
    return found;
  }

  function compare(section) {
    const rows = pairs();
    section.append(node("p", { className: "note" }, "A: ", node("b", { textContent: run.label }), "   B: ", node("b", { textContent: other.label })));
    const lonely = run.kernels.length + other.kernels.length - 2 * rows.length;
    if (lonely) section.append(node("p", { className: "warn", textContent: `${lonely} launches are in one of the runs only` }));
    const ratio = (r) => r.b.cycles / r.a.cycles;
    const table = sortable([
      { name: "kernel", key: (r) => label(r.a), code: true },
      { name: "cycles A", key: (r) => r.a.cycles, num: true }, { name: "cycles B", key: (r) => r.b.cycles, num: true },
      { name: "B / A", key: ratio, num: true, show: (r) => node("span", { className: ratio(r) > 1 ? "up" : ratio(r) < 1 ? "down" : "", textContent: ratio(r).toFixed(3) }) },
      { name: "IPC A", key: (r) => r.a.derived.ipc, num: true }, { name: "IPC B", key: (r) => r.b.derived.ipc, num: true },
      { name: "main stall A", key: (r) => mainStall(r.a)[1] }, { name: "main stall B", key: (r) => mainStall(r.b)[1] },
    ], rows);
    table.id = "compared";
    section.append(node("div", { className: "scroll" }, table), node("h2", { textContent: "Issue slots by fate, B minus A, in cycles of a sub-core" }));
    const cycles = (k, name) => (k.stalls[name] * k.cycles) / k.issue_slots;
    const moved = data.reasons.filter((r) => rows.some((p) => p.a.stalls[r.name] || p.b.stalls[r.name]));
    const traces = moved.map((r) => ({ type: "bar", name: r.name, marker: { color: r.color }, x: rows.map((p) => label(p.a)), y: rows.map((p) => cycles(p.b, r.name) - cycles(p.a, r.name)), hovertemplate: `%{x}<br>${r.name}: %{y:+,.1f} cycles<extra></extra>` }));
    const chart = plot("compare-plot", traces, { barmode: "relative", yaxis: { title: { text: "cycles" } }, xaxis: { automargin: true } });
    section.append(chart, node("h2", { textContent: "Parameters that differ" }));
    const names = [...new Set([...Object.keys(run.config), ...Object.keys(other.config)])].filter((n) => run.config[n] !== other.config[n]);
    const differing = sortable([{ name: "parameter", key: (n) => n, code: true }, { name: "A", key: (n) => run.config[n] ?? "-", code: true }, { name: "B", key: (n) => other.config[n] ?? "-", code: true }], names);
    differing.id = "config-diff";
    section.append(names.length ? differing : node("p", { textContent: "none" }));
    chart.draw();
  }

  const list = [
    { id: "overview", name: "Kernels", build: overview }, { id: "timeline", name: "Timeline", build: timeline },
    { id: "source", name: "Source", build: source }, { id: "metrics", name: "Metrics", build: metrics },
    { id: "config", name: "Configuration", build: config },
  ];
  if (other) list.splice(1, 0, { id: "compare", name: "Compare", build: compare });
  const tabs = showTabs(list);
}
