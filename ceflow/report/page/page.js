// The page is whole without this script. With it tables sort and are copied, and charts are drawn
// for the width there is, tell their values, hide curves, and change to a logarithmic scale.
"use strict";

const make = (name, attributes = {}, ...inside) => {
  const element = document.createElement(name);
  Object.assign(element, attributes);
  element.append(...inside);
  return element;
};
const number = (value) => {
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6)
    ? value.toExponential(4).replace(/\.?0+e/, "e").replace("e+", "e") : String(+value.toPrecision(6));
};
const quoted = (cell) => {
  const safe = /^[=+@\t]/.test(cell) && Number.isNaN(Number(cell)) ? `'${cell}` : cell;  // no formula
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

function copied(button, rows) {
  const text = rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  const done = (said) => {
    button.dataset.name ??= button.textContent;
    button.textContent = said;
    setTimeout(() => { button.textContent = button.dataset.name; }, 1500);
  };
  const byHand = () => {  // where a page from a file may not reach the clipboard
    const area = make("textarea", { value: text });
    document.body.append(area);
    area.select();
    done(document.execCommand("copy") ? "copied" : "could not be copied");
    area.remove();
    button.focus();
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => done("copied"), byHand);
  else byHand();
}

// Tables

const exact = (cell) => cell.dataset.value ?? cell.textContent;
const UNITS = { ms: 1e-3, s: 1, min: 60, B: 1, "%": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };
const numeric = (text) => {  // of 1.5e-07, 0.1 ± 0.02, 80 MB, 2 min 5 s, 239 kFLOPs, -inf
  const infinite = /^([-+]?)inf\b/.exec(text);
  if (infinite) return infinite[1] === "-" ? -Infinity : Infinity;
  const found = /^([-+]?[\d,]*\.?\d+(?:e[-+]?\d+)?)\s*(ms|min|s\b|%|[kMGT](?=B|FLOP|MAC)|B\b)?/.exec(text);
  if (!found) return NaN;
  const rest = found[2] === "min" ? Number(/min (\d+) s/.exec(text)?.[1] ?? 0) : 0;
  return Number(found[1].replaceAll(",", "")) * (UNITS[found[2]] ?? 1) + rest;
};

function sortable(table) {
  const body = table.tBodies[0];
  const first = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")]
        ?? "ascending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      if (next !== "none") head.setAttribute("aria-sort", next);
      const sign = next === "descending" ? -1 : 1;
      const key = (row) => exact(row.cells[column]);
      const order = (a, b) => {
        const [m, n] = [numeric(key(a)), numeric(key(b))];
        if (Number.isNaN(m) !== Number.isNaN(n)) return Number.isNaN(m) ? 1 : -1;  // texts last
        return sign * (Number.isNaN(m) ? key(a).localeCompare(key(b)) : m - n);
      };
      body.append(...(next === "none" ? first : [...body.rows].sort(order)));
    });
  });
}

for (const table of document.querySelectorAll("table")) {
  if (table.tHead && table.tBodies[0].rows.length > 1) sortable(table);
  const button = make("button", { type: "button" }, "Copy as CSV");
  button.addEventListener("click", () =>
    copied(button, [...table.rows].map((row) => [...row.cells].map(exact))));
  table.closest(".scroll").after(make("div", { className: "tools" }, button));
}

// Charts

const SVG = "http://www.w3.org/2000/svg";
const svg = (name, attributes = {}, text = "") => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
};

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.data = JSON.parse(figure.querySelector("script").textContent);
    this.picture = figure.querySelector(".picture");
    this.svg = this.picture.querySelector("svg");
    if (this.data.kind === "none") return;
    this.spot = svg("circle", { class: "spot", r: 6, visibility: "hidden" });
    this.tip = make("div", { className: "tip" });
    this.tip.setAttribute("aria-live", "polite");
    this.picture.append(this.tip);
    this.at = [0, -1];
    this.svg.append(this.spot);
    this.begin();
    this.watch();
  }

  watch() {
    const { svg: area } = this;
    area.addEventListener("pointermove", (event) => {
      const box = area.getBoundingClientRect();
      const scale = area.viewBox.baseVal.width / box.width;
      this.tell(this.nearest((event.clientX - box.left) * scale, (event.clientY - box.top) * scale));
    });
    area.addEventListener("pointerleave", () => this.tell(null));
    area.addEventListener("blur", () => this.tell(null));
    area.tabIndex = 0;
    area.setAttribute("role", "application");
    area.setAttribute("aria-label", `${area.getAttribute("aria-label")}. Arrow keys tell its values.`);
    area.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (event.key === "Escape") this.tell(null);
      if (!step) return;
      event.preventDefault();
      this.tell(this.moved(...step));
    });
  }

  moved(series, point) {
    const shown = this.shown();
    if (!shown.length) return null;
    const now = Math.max(shown.indexOf(this.at[0]), 0);
    const chosen = shown[Math.min(Math.max(now + series, 0), shown.length - 1)];
    const last = this.rows()[chosen].x.length - 1;
    return [chosen, Math.min(Math.max(this.at[1] + point, 0), last)];
  }

  tell(at) {
    if (!at) {
      this.spot.setAttribute("visibility", "hidden");
      this.tip.textContent = "";
      return;
    }
    this.at = at;
    const [x, y] = this.place(...at);
    this.spot.setAttribute("cx", x);
    this.spot.setAttribute("cy", y);
    this.spot.setAttribute("visibility", "visible");
    this.tip.textContent = this.text(...at);
    const scale = this.svg.getBoundingClientRect().width / this.svg.viewBox.baseVal.width;
    const { clientWidth, scrollLeft } = this.picture;
    if (x * scale < scrollLeft || x * scale > scrollLeft + clientWidth) {
      this.picture.scrollLeft = x * scale - clientWidth / 2;
    }
    const begin = this.picture.scrollLeft;
    const right = Math.min(x * scale + 12, begin + clientWidth - this.tip.offsetWidth);
    this.tip.style.left = `${Math.max(right, begin)}px`;
    const above = y * scale - this.tip.offsetHeight - 10;
    this.tip.style.top = `${above > 0 ? above : y * scale + 14}px`;
  }

  csv(button, rows) {
    const what = this.data.thinned ? "Copy what is drawn as CSV" : "Copy as CSV";
    const copy = make("button", { type: "button" }, what);
    copy.addEventListener("click", () => copied(copy, rows()));
    const tools = make("div", { className: "tools" }, ...button, copy);
    this.picture.after(tools);
  }
}

const MARGIN = { right: 16, top: 12, bottom: 46 };  // pixels, as in blocks/chart/frame.py

class CurveChart extends Chart {
  begin() {
    const { data } = this;
    this.log = [...data.log];
    this.groups = [...this.svg.querySelectorAll("g.series")];
    this.hidden = new Set();
    const switches = ["x", "y"].flatMap((name, axis) => {
      if (!data.axes[axis][1] || !data.axes[axis][0]) return [];
      const box = make("input", { type: "checkbox", checked: this.log[axis] });
      box.addEventListener("change", () => { this.log[axis] = box.checked; this.draw(); });
      return [make("label", {}, box, `logarithmic ${name}`)];
    });
    this.csv(switches, () => [
      ["series", ...data.labels, "±"],
      ...data.series.flatMap((s) => s.x.map((x, i) => [s.label, x, s.y[i], s.error[i] ?? ""].map(String))),
    ]);
    this.legend();
    this.figure.classList.add("live");
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  legend() {
    this.figure.querySelectorAll(".legend li").forEach((item, index) => {
      const button = make("button", { type: "button" }, ...item.childNodes);
      button.setAttribute("aria-pressed", "true");
      item.append(button);
      button.addEventListener("click", () => {
        const hide = !this.hidden.has(index);
        this.hidden[hide ? "add" : "delete"](index);
        button.setAttribute("aria-pressed", String(!hide));
        this.groups[index].classList.toggle("off", hide);
        this.tell(null);
      });
    });
  }

  rows() { return this.data.series; }
  shown() {
    const { series } = this.data;
    return series.map((_, i) => i).filter((i) => !this.hidden.has(i) && series[i].x.length);
  }

  share(axis, value) {
    const { low, high } = this.data.axes[axis][+this.log[axis]];
    const at = this.log[axis] ? Math.log10 : (v) => v;
    return (at(value) - at(low)) / (at(high) - at(low));
  }
  across(x) { return this.left + this.share(0, x) * (this.width - MARGIN.right - this.left); }
  down(y) { return this.height - MARGIN.bottom - this.share(1, y) * (this.height - MARGIN.bottom - MARGIN.top); }
  place(series, point) {
    const { x, y } = this.data.series[series];
    return [this.across(x[point]), this.down(y[point])];
  }

  nearest(x, y) {
    let [best, least] = [null, Infinity];
    for (const series of this.shown()) {
      this.data.series[series].x.forEach((_, point) => {
        const [px, py] = this.place(series, point);
        const far = (px - x) ** 2 + (py - y) ** 2;
        if (far < least) [best, least] = [[series, point], far];
      });
    }
    return best;
  }

  text(series, point) {
    const { label, x, y, error } = this.data.series[series];
    const more = error.length ? ` ± ${number(error[point])}` : "";
    const [nameX, nameY] = this.data.labels;
    return `${label ? `${label}\n` : ""}${nameX}: ${number(x[point])}\n${nameY}: ${number(y[point])}${more}`;
  }

  draw() {
    this.width = Math.min(Math.max(this.picture.clientWidth, 300), 760);
    this.height = Math.max(Math.round(this.width * 0.56), 260);
    const [across, down] = [0, 1].map((axis) => this.data.axes[axis][+this.log[axis]]);
    this.left = 30 + 7 * Math.max(...down.ticks.map(([, label]) => label.length), 1);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.querySelector("g.axes").replaceWith(this.axes(across.ticks, down.ticks));
    this.data.series.forEach((series, index) => this.move(series, this.groups[index]));
    this.tell(null);
  }

  axes(across, down) {
    const group = svg("g", { class: "axes" });
    const [right, bottom] = [this.width - MARGIN.right, this.height - MARGIN.bottom];
    const room = Math.max(...across.map(([, label]) => 7 * label.length + 10), 1);
    const every = Math.ceil((room * across.length) / (right - this.left));
    let grid = "";
    across.forEach(([value, label], index) => {
      const x = this.across(value);
      grid += `M${x} ${MARGIN.top}V${bottom}`;
      if (index % every) return;
      group.append(svg("text", { x, y: bottom + 18, "text-anchor": "middle" }, label));
    });
    for (const [value, label] of down) {
      const y = this.down(value);
      grid += `M${this.left} ${y}H${right}`;
      group.append(svg("text", { x: this.left - 8, y: y + 4, "text-anchor": "end" }, label));
    }
    group.prepend(svg("path", { class: "grid", d: grid }),
      svg("path", { class: "frame", d: `M${this.left} ${MARGIN.top}V${bottom}H${right}` }));
    const [nameX, nameY] = this.data.labels;
    const [middle, up] = [(this.left + right) / 2, (MARGIN.top + bottom) / 2];
    group.append(svg("text", { x: middle, y: this.height - 6, "text-anchor": "middle" }, nameX));
    const turned = `translate(14 ${up}) rotate(-90)`;
    group.append(svg("text", { transform: turned, "text-anchor": "middle" }, nameY));
    return group;
  }

  move(series, group) {
    const points = series.x.map((x, i) => [this.across(x), this.down(series.y[i])].map((v) => v.toFixed(1)));
    const ends = series.error.map((e, i) => {
      const y = series.y[i];
      return [this.log[1] ? Math.max(y - e, y / 10) : y - e, y + e].map((v) => this.down(v).toFixed(1));
    });
    const paths = {
      line: () => "M" + points.map((p) => p.join(" ")).join("L"),
      marks: () => points.map((p) => `M${p.join(" ")}h0`).join(""),
      bars: () => points.map(([x], i) => `M${x} ${ends[i][0]}V${ends[i][1]}`).join(""),
      band: () => "M" + [...points.map(([x], i) => `${x} ${ends[i][1]}`),
        ...points.map(([x], i) => `${x} ${ends[i][0]}`).reverse()].join("L") + "Z",
    };
    for (const [name, path] of Object.entries(paths)) {
      group.querySelector(`.${name}`)?.setAttribute("d", path());
    }
  }
}

class HeatmapChart extends Chart {
  begin() {
    const { data } = this;
    this.csv([], () => [[data.labels[1], data.labels[0], data.labels[2]],
      ...data.rows.flatMap((row) => row.x.map((x, i) => [row.label, x, row.y[i]].map(String)))]);
  }
  rows() { return this.data.rows; }
  shown() { return this.data.rows.map((_, i) => i); }
  place(row, point) {
    const [left, top, right, bottom] = this.data.area;
    const [low, high] = this.data.x;
    const share = (this.data.rows[row].x[point] - low) / (high - low);
    return [left + share * (right - left), top + ((row + 0.5) / this.data.rows.length) * (bottom - top)];
  }
  nearest(x, y) {
    const [left, top, right, bottom] = this.data.area;
    if (x < left || x > right || y < top || y > bottom) return null;
    const row = Math.min(Math.floor(((y - top) / (bottom - top)) * this.data.rows.length), this.data.rows.length - 1);
    const far = this.data.rows[row].x.map((_, point) => Math.abs(this.place(row, point)[0] - x));
    return [row, far.indexOf(Math.min(...far))];
  }
  text(row, point) {
    const [nameX, rowName, value] = this.data.labels;
    const { label, x, y } = this.data.rows[row];
    return `${rowName}: ${label}\n${nameX}: ${number(x[point])}\n${value}: ${number(y[point])}`;
  }
}

for (const figure of document.querySelectorAll("figure.chart")) {
  const { kind } = JSON.parse(figure.querySelector("script").textContent);
  new (kind === "curve" ? CurveChart : HeatmapChart)(figure);
}

// The page

const themes = ["auto", "light", "dark"];
const theme = make("button", { type: "button", className: "theme" });
const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
function dress(name) {
  document.documentElement.dataset.theme = name;
  theme.textContent = `Theme: ${name}`;
  try { localStorage.setItem("ceflow-theme", name); } catch { /* a page from a file may not */ }
}
theme.addEventListener("click", () =>
  dress(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]));
dress(themes.includes(kept("ceflow-theme")) ? kept("ceflow-theme") : "auto");
document.querySelector(".head").append(theme);

for (const pre of document.querySelectorAll("pre")) {  // those that scroll can be scrolled by keys
  if (pre.scrollWidth > pre.clientWidth) pre.tabIndex = 0;
}
for (const area of document.querySelectorAll(".scroll, .legend ul")) {
  if (area.scrollWidth > area.clientWidth || area.scrollHeight > area.clientHeight) area.tabIndex = 0;
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
