"use strict";
// What the pages of a run and of a sweep share: unpacking, tabs, sortable tables, hints, plots.

async function unpack(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

function node(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((c) => c !== null && c !== undefined));
  return made;
}

function number(value, digits = 3) {
  if (value === null || value === undefined) return "-";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  if (size >= 1000) return value.toLocaleString("en-US", { maximumFractionDigits: 1 });
  return size !== 0 && size < 1e-3 ? value.toExponential(2) : value.toFixed(digits);
}

const percent = (value) => (value === null || value === undefined ? "-" : (100 * value).toFixed(1) + " %");

// tabs: [{id, name, build(section)}]; a tab's content is built when it is first shown.
function showTabs(tabs) {
  const bar = document.getElementById("tabs");
  const main = document.getElementById("main");
  const built = new Set();
  function select(id) {
    for (const tab of tabs) {
      const chosen = tab.id === id;
      document.getElementById("tab-" + tab.id).setAttribute("aria-selected", chosen);
      document.getElementById(tab.id).hidden = !chosen;
    }
    const tab = tabs.find((t) => t.id === id);
    const section = document.getElementById(id);
    if (!built.has(id)) {
      built.add(id);
      tab.build(section);
    }
    section.querySelectorAll(".js-plotly-plot").forEach((plot) => Plotly.Plots.resize(plot));
    history.replaceState(null, "", "#" + id);
  }
  for (const tab of tabs) {
    const button = node("button", { id: "tab-" + tab.id, role: "tab", textContent: tab.name });
    button.onclick = () => select(tab.id);
    bar.append(button);
    main.append(node("section", { id: tab.id, hidden: true }));
  }
  const wanted = location.hash.slice(1);
  select(tabs.some((t) => t.id === wanted) ? wanted : tabs[0].id);
  return { select, forget: (id) => { built.delete(id); document.getElementById(id).replaceChildren(); } };
}

// columns: [{name, key(row), show(row) -> text or node, num, title}]; a click on a heading sorts, a second one reverses.
// Lines are made when they are first shown, at most LINES of them until the rest is asked for.
const LINES = 1500;

function sortable(columns, rows, { onRow = null, hint = null, chosen = null } = {}) {
  const head = node("tr");
  const body = node("tbody");
  const made = new Map();
  let limit = LINES;
  let order = [...rows];
  let picked = chosen ? rows.find(chosen) : null;

  function make(row) {
    const line = node("tr");
    for (const column of columns) {
      const shown = column.show ? column.show(row) : column.num ? number(column.key(row)) : String(column.key(row) ?? "");
      line.append(node("td", { className: column.num ? "num" : column.code ? "code" : "" }, shown));
    }
    if (row === picked) line.classList.add("chosen");
    if (onRow) {
      line.style.cursor = "pointer";
      line.onclick = () => {
        body.querySelectorAll(".chosen").forEach((other) => other.classList.remove("chosen"));
        line.classList.add("chosen");
        picked = row;
        onRow(row);
      };
    }
    if (hint) hints(line, () => hint(row));
    return line;
  }

  function draw() {
    const lines = order.slice(0, limit).map((row) => {
      if (!made.has(row)) made.set(row, make(row));
      return made.get(row);
    });
    if (order.length > limit) {
      const rest = node("td", { colSpan: columns.length, textContent: `${number(order.length - limit)} more rows: click to show them` });
      const more = node("tr", { className: "more" }, rest);
      more.onclick = () => { limit = Infinity; draw(); };
      lines.push(more);
    }
    body.replaceChildren(...lines);
  }

  let sorted = null;
  let falling = false;
  columns.forEach((column, index) => {
    const cell = node("th", { textContent: column.name, className: column.num ? "num" : "", title: column.title || "" });
    cell.onclick = () => {
      falling = sorted === index ? !falling : Boolean(column.num);
      sorted = index;
      const sign = falling ? -1 : 1;
      const rank = (v) => (v === null || v === undefined ? -Infinity : v);
      order.sort((a, b) => {
        const [x, y] = [rank(column.key(a)), rank(column.key(b))];
        return sign * (x < y ? -1 : x > y ? 1 : 0);
      });
      head.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      cell.setAttribute("aria-sort", falling ? "descending" : "ascending");
      draw();
    };
    head.append(cell);
  });
  draw();
  return node("table", {}, node("thead", {}, head), body);
}

function hints(target, text) {
  const tip = document.getElementById("tip");
  target.onmouseenter = (event) => {
    tip.textContent = text();
    tip.style.display = "block";
    tip.style.left = Math.min(event.clientX + 14, innerWidth - 320) + "px";
    tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)) + "px";
  };
  target.onmouseleave = () => { tip.style.display = "none"; };
}

function plot(id, traces, layout, height = 420) {
  const place = node("div", { id, className: "plot" });
  place.style.height = height + "px";
  const common = { margin: { l: 70, r: 20, t: 30, b: 50 }, font: { family: "system-ui, sans-serif", size: 12 }, paper_bgcolor: "#fff" };
  place.draw = () => Plotly.newPlot(place, traces, { ...common, ...layout }, { responsive: true, displaylogo: false });
  return place;
}

function choice(label, id, options, value, onChange) {
  const list = node("select", { id });
  for (const option of options) list.append(node("option", { value: option, textContent: option }));
  list.value = value;
  list.onchange = () => onChange(list.value);
  return node("label", {}, label + " ", list);
}

function heading(data) {
  document.getElementById("title").textContent = data.title;
  const facts = document.getElementById("facts");
  for (const fact of data.facts) facts.append(node("p", { className: "sub", textContent: fact }));
  for (const note of data.notes) facts.append(node("p", { className: "note warn", textContent: note }));
}
