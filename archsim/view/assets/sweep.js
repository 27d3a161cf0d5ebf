// The page of a sweep: data.columns by name, data.axes, data.docs (unit, meaning).

function sweepPage(data) {
  const names = Object.keys(data.columns);
  const count = data.rows;
  const column = (name) => data.columns[name];
  const numeric = names.filter((n) => column(n).every((v) => v === null || typeof v === "number") && !data.axes.includes(n) && n !== "point");
  const first = (wanted) => wanted.find((n) => numeric.includes(n)) || numeric[0];
  const metric = first(["cycles", "elapsed_cycles"]);
  const second = first(["sram_kib", "energy_total_pj", "ipc"]);
  const dimensions = [...data.axes, ...(names.includes("trace") ? ["trace"] : [])];
  const unit = (n) => (data.docs[n] && data.docs[n][0] ? `${n} (${data.docs[n][0]})` : n);
  const index = Array.from({ length: count }, (_, i) => i);
  const unique = (values) => [...new Set(values)].sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a) < String(b) ? -1 : 1));
  const groups = (by, rows = index) => unique(rows.map((i) => (by ? column(by)[i] : "all"))).map((v) => [v, rows.filter((i) => !by || column(by)[i] === v)]);
  const mean = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : null);

  function table(section) {
    const chosen = new Set(["point", ...dimensions, "status", ...["cycles", "ipc", "sram_kib", "bandwidth_gbps"].filter((n) => names.includes(n)), ...(column("error") && column("error").some((e) => e) ? ["error"] : [])].filter((n) => names.includes(n)));
    const place = node("div", { className: "scroll" });
    const draw = () => {
      const made = sortable([...chosen].map((n) => ({ name: n, key: (i) => column(n)[i], num: numeric.includes(n) || typeof column(n)[0] === "number", title: data.docs[n] ? data.docs[n].join(": ") : "" })), index);
      made.id = "runs";
      place.replaceChildren(made);
    };
    const add = choice("add a column", "add-column", ["", ...names], "", (n) => { if (n) { chosen.add(n); draw(); } });
    section.append(node("p", { className: "note" }, `${count} runs. A click on a heading sorts. `, add), place);
    draw();
  }

  function lines(section) {
    const state = { x: data.axes[0] || "point", y: metric, by: dimensions.includes("trace") ? "trace" : "" };
    const place = node("div");
    const draw = () => {
      const rows = index.filter((i) => column(state.y)[i] !== null);
      const traces = groups(state.by, rows).map(([name, mine]) => {
        const points = groups(state.x, mine).map(([x, at]) => [x, mean(at.map((i) => column(state.y)[i]))]);
        return { type: "scatter", mode: "lines+markers", name: String(name), x: points.map((p) => p[0]), y: points.map((p) => p[1]), hovertemplate: `${name}<br>${state.x} %{x}<br>${state.y} %{y:,.5g}<extra></extra>` };
      });
      const chart = plot("lines-plot", traces, { xaxis: { title: { text: unit(state.x) } }, yaxis: { title: { text: unit(state.y) } } }, 520);
      place.replaceChildren(chart);
      chart.draw();
    };
    const change = (key) => (value) => { state[key] = value; draw(); };
    section.append(node("p", {}, choice("along", "lines-x", data.axes.length ? data.axes : ["point"], state.x, change("x")), choice("metric", "lines-y", numeric, state.y, change("y")), choice("one line for each", "lines-by", ["", ...dimensions], state.by, change("by")), node("span", { className: "note", textContent: "points are means over the other axes" })), place);
    draw();
  }

  function heat(section) {
    if (dimensions.length < 2) {
      section.append(node("p", { className: "warn", textContent: "A heat map needs two axes." }));
      return;
    }
    const state = { x: dimensions[0], y: dimensions[1], z: metric };
    const place = node("div");
    const draw = () => {
      const rows = index.filter((i) => column(state.z)[i] !== null);
      const xs = unique(column(state.x));
      const ys = unique(column(state.y));
      const z = ys.map((y) => xs.map((x) => mean(rows.filter((i) => column(state.x)[i] === x && column(state.y)[i] === y).map((i) => column(state.z)[i]))));
      const chart = plot("heat-plot", [{ type: "heatmap", x: xs.map(String), y: ys.map(String), z, colorscale: "Viridis", hovertemplate: `${state.x} %{x}<br>${state.y} %{y}<br>${state.z} %{z:,.5g}<extra></extra>`, colorbar: { title: { text: state.z } } }], { xaxis: { type: "category", title: { text: unit(state.x) } }, yaxis: { type: "category", automargin: true, title: { text: unit(state.y) } } }, 520);
      place.replaceChildren(chart);
      chart.draw();
    };
    const change = (key) => (value) => { state[key] = value; draw(); };
    section.append(node("p", {}, choice("across", "heat-x", dimensions, state.x, change("x")), choice("down", "heat-y", dimensions, state.y, change("y")), choice("metric", "heat-z", numeric, state.z, change("z"))), place);
    draw();
  }

  function front(points) {
    const sorted = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
    const best = [];
    for (const p of sorted) if (!best.length || p.y < best[best.length - 1].y) best.push(p);
    return best;
  }

  function pareto(section) {
    const traces_of = dimensions.includes("trace") ? unique(column("trace")) : ["all"];
    const state = { x: metric, y: second, trace: traces_of[0] };
    const place = node("div");
    const draw = () => {
      const points = index.filter((i) => (traces_of[0] === "all" || column("trace")[i] === state.trace) && column(state.x)[i] !== null && column(state.y)[i] !== null).map((i) => ({ x: column(state.x)[i], y: column(state.y)[i], text: data.axes.map((a) => `${a} = ${column(a)[i]}`).join("<br>") }));
      const best = front(points);
      const hover = `%{text}<br>${state.x} %{x:,.5g}<br>${state.y} %{y:,.5g}<extra></extra>`;
      const chart = plot("pareto-plot", [
        { type: "scatter", mode: "markers", name: "runs", x: points.map((p) => p.x), y: points.map((p) => p.y), text: points.map((p) => p.text), hovertemplate: hover },
        { type: "scatter", mode: "lines+markers", name: "front (both small)", x: best.map((p) => p.x), y: best.map((p) => p.y), text: best.map((p) => p.text), line: { shape: "hv" }, hovertemplate: hover },
      ], { xaxis: { title: { text: unit(state.x) } }, yaxis: { title: { text: unit(state.y) } } }, 520);
      place.replaceChildren(chart);
      chart.draw();
    };
    const change = (key) => (value) => { state[key] = value; draw(); };
    section.append(node("p", {}, choice("x", "pareto-x", numeric, state.x, change("x")), choice("y", "pareto-y", numeric, state.y, change("y")), choice("trace", "pareto-trace", traces_of, state.trace, change("trace"))), place);
    draw();
  }

  function stalls(section) {
    const reasons = data.reasons.filter((r) => names.includes("stall." + r.name));
    if (!reasons.length) {
      section.append(node("p", { className: "warn", textContent: "This study has no issue slots (memory traces)." }));
      return;
    }
    const traces_of = unique(column("trace"));
    const place = node("div");
    const draw = (trace) => {
      const rows = index.filter((i) => column("trace")[i] === trace && column("issue_slots")[i]);
      const text = rows.map((i) => data.axes.map((a) => `${a}=${column(a)[i]}`).join(", ") || `point ${column("point")[i]}`);
      const chart = plot("sweep-stalls", reasons.map((r) => ({ type: "bar", orientation: "h", name: r.name, marker: { color: r.color }, y: text, x: rows.map((i) => (100 * column("stall." + r.name)[i]) / column("issue_slots")[i]), hovertemplate: `%{y}<br>${r.name} %{x:.2f} %<extra></extra>` })), { barmode: "stack", xaxis: { range: [0, 100], title: { text: "% of issue slots" } }, yaxis: { automargin: true, autorange: "reversed" } }, Math.max(340, 120 + 20 * rows.length));
      place.replaceChildren(chart);
      chart.draw();
    };
    section.append(node("p", {}, choice("trace", "stall-trace", traces_of, traces_of[0], draw)), place);
    draw(traces_of[0]);
  }

  function study(section) {
    section.append(node("pre", { className: "code", id: "study-text", textContent: JSON.stringify(data.meta, null, 2) }));
  }

  showTabs([
    { id: "table", name: "Runs", build: table }, { id: "lines", name: "Lines", build: lines }, { id: "heat", name: "Heat map", build: heat },
    { id: "pareto", name: "Pareto", build: pareto }, { id: "stalls", name: "Stalls", build: stalls }, { id: "study", name: "Study", build: study },
  ]);
}
