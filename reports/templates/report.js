"use strict";

// Tables that sort, charts, folded sections that open for a link, and the choice of light or dark.

const SVG = "http://www.w3.org/2000/svg";
const DASHES = { solid: null, dashed: "7 4", dotted: "0.1 5" };
const DOTTED_UP_TO = 40; // points of a curve that get a dot each
const REACH = 12; // px from the pointer within which a value is read

/** An element with attributes and children; one of SVG where `space` says so. */
function element(name, attributes = {}, children = [], space = null) {
  const made = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const drawn = (name, attributes, children) => element(name, attributes, children, SVG);

// ---- tables

const TURNS = { null: "ascending", ascending: "descending", descending: null };
const order = new Intl.Collator("en", { numeric: true });

function makeSortable(table) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  if (original.length < 2) return;
  const heads = [...table.tHead.rows[0].cells];
  for (const [column, head] of heads.entries()) {
    if (!head.textContent) continue;
    const button = element("button", { type: "button" }, [...head.childNodes]);
    head.append(button);
    button.addEventListener("click", () => {
      const turn = TURNS[head.getAttribute("aria-sort")];
      for (const other of heads) other.removeAttribute("aria-sort");
      if (turn) head.setAttribute("aria-sort", turn);
      body.append(...(turn ? sorted(original, column, turn === "ascending" ? 1 : -1) : original));
    });
  }
}

/** Rows by the cells of a column; those without a number come last, whichever way. */
function sorted(rows, column, sign) {
  const valueOf = (row) => row.cells[column].dataset.value;
  const hasNumbers = rows.some((row) => valueOf(row) !== undefined);
  const textOf = (row) => row.cells[column].textContent.trim();
  return [...rows].sort((a, b) => {
    if (!hasNumbers) return sign * order.compare(textOf(a), textOf(b));
    const [x, y] = [valueOf(a), valueOf(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return sign * (x - y);
  });
}

// ---- scales

/** Round numbers between two ends, about `count` of them. */
function niceTicks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = size * [1, 2, 5, 10].find((factor) => factor * size >= rough * (1 - 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** Ticks of a logarithmic axis: decades, with numbers between where these are few. */
function logTicks(low, high, count) {
  const decades = Math.log10(high / low);
  if (decades < 0.7) return niceTicks(low, high, count);
  const skip = Math.ceil(decades / count);
  const factors = decades > 3 ? [1] : decades > 1.2 ? [1, 2, 5] : [1, 1.5, 2, 3, 5, 7];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    if (power % skip === 0) ticks.push(...factors.map((factor) => factor * 10 ** power));
  }
  return ticks.filter((tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9));
}

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** A number as people read it, with a true minus sign. */
function shown(value, digits = 4) {
  if (value !== 0 && (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3)) {
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    const raised = [...String(Number(power))].map((sign) => SUPERSCRIPT[sign]).join("");
    return Number(mantissa) === 1 ? `10${raised}` : `${Number(mantissa)}·10${raised}`;
  }
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

/** A map from values to pixels, with its ticks; values of a logarithmic one are positive. */
function scaleOf(values, range, isLog, isTight, from, to, count) {
  const usable = values.filter((v) => v !== null && (!isLog || v > 0));
  let [low, high] = range ?? (usable.length
    ? [usable.reduce((a, b) => Math.min(a, b)), usable.reduce((a, b) => Math.max(a, b))]
    : [isLog ? 1 : 0, isLog ? 10 : 1]);
  const turn = isLog ? Math.log10 : (v) => v;
  const back = isLog ? (v) => 10 ** v : (v) => v;
  if (!range) {
    const span = turn(high) - turn(low) || Math.abs(turn(high)) * 0.1 || 1;
    const pad = high === low ? span / 2 : isTight ? 0 : 0.05 * span;
    [low, high] = [back(turn(low) - pad), back(turn(high) + pad)];
  }
  const [start, end] = [turn(low), turn(high)];
  const map = (v) => from + ((turn(v) - start) / (end - start)) * (to - from);
  return { map, ticks: (isLog ? logTicks : niceTicks)(low, high, count), fits: (v) => v !== null && (!isLog || v > 0) };
}

// ---- charts

const swatch = (curve) =>
  drawn("svg", { class: "swatch", viewBox: "0 0 22 10", "aria-hidden": "true" }, [
    curve.isPoints
      ? drawn("circle", { cx: 11, cy: 5, r: 4, color: paint(curve) })
      : drawn("path", { d: "M2 5h18", color: paint(curve), "stroke-dasharray": DASHES[curve.dash] }),
  ]);

/** The colour of a curve; null for that of the text. */
const paint = (curve) => (curve.colour === "text" ? null : curve.colour);

class Panel {
  constructor(values, text, hidden) {
    Object.assign(this, { values, hidden, place: null });
    this.reading = element("div", { class: "reading", hidden: "" });
    this.spoken = element("p", { class: "unseen", "aria-live": "polite" });
    this.svg = drawn("svg", { role: "img", "aria-label": [values.title, text].filter(Boolean).join(": ") });
    const line = (name, words) => (words ? [element("p", { class: name }, [element("bdi", {}, [words])])] : []);
    this.box = element("div", { class: "panel", tabindex: 0, role: "group", "aria-label": `${values.title || values.yLabel}: arrow keys read values` }, [
      ...line("title", values.title), ...line("up", values.yLabel), this.svg,
      ...line("across", values.xLabel), this.reading, this.spoken,
    ]);
    this.stops = [...new Set(values.curves.flatMap((curve) => curve.x))].filter((x) => x !== null).sort((a, b) => a - b);
    for (const kind of ["pointermove", "pointerdown"]) {
      this.svg.addEventListener(kind, (event) => this.read(this.under(event)));
    }
    this.svg.addEventListener("pointerleave", () => this.read(null));
    this.box.addEventListener("blur", () => this.read(null));
    this.box.addEventListener("keydown", (event) => this.step(event));
  }

  get shownCurves() {
    return this.values.curves.filter((curve) => !this.hidden.has(curve.title));
  }

  /** Draws everything for the present width. */
  draw() {
    const width = Math.round(this.svg.clientWidth);
    if (!width) return;
    const height = Math.round(Math.min(340, Math.max(220, width * 0.62)));
    const { curves, xRange, yRange, logX, logY, marks } = this.values;
    const ys = curves.flatMap((curve) => [...curve.y, ...curve.low, ...curve.high]);
    const xs = curves.flatMap((curve) => curve.x);
    const arePoints = curves.some((curve) => curve.isPoints);
    const top = 8, bottom = height - 24;
    this.y = scaleOf(ys, yRange, logY, false, bottom, top, height / 55);
    const left = 10 + 7 * Math.max(...this.y.ticks.map((tick) => shown(tick).length), 1);
    const right = width - 18;
    this.x = scaleOf(xs, xRange, logX, !arePoints, left, right, width / 80);
    Object.assign(this, { left, right, top, bottom });
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.cursor = drawn("g");
    // A nested svg cuts off what is outside of the axes; its frame lets a line on them be whole.
    const inside = drawn("svg", { x: left - 2, y: top - 2, width: right - left + 4, height: bottom - top + 4, viewBox: `${left - 2} ${top - 2} ${right - left + 4} ${bottom - top + 4}` }, [
      ...marks.map((x) => drawn("path", { class: "mark", d: `M${this.x.map(x)} ${top}V${bottom}` })),
      ...curves.filter((curve) => !this.hidden.has(curve.title)).map((curve) => this.curve(curve)),
    ]);
    this.svg.replaceChildren(...this.axes(), inside, this.cursor);
  }

  axes() {
    const parts = [];
    for (const tick of this.y.ticks) {
      const y = this.y.map(tick);
      parts.push(drawn("path", { class: "grid", d: `M${this.left} ${y}H${this.right}` }));
      parts.push(drawn("text", { x: this.left - 6, y: y + 4, "text-anchor": "end" }, [shown(tick)]));
    }
    for (const tick of this.x.ticks) {
      const x = this.x.map(tick);
      parts.push(drawn("path", { class: "grid", d: `M${x} ${this.bottom}v5` }));
      parts.push(drawn("text", { x, y: this.bottom + 18, "text-anchor": "middle" }, [shown(tick)]));
    }
    parts.push(drawn("path", { class: "cursor", d: `M${this.left} ${this.bottom}H${this.right}` }));
    return parts;
  }

  curve(curve) {
    const at = (i, values = curve.y) => [this.x.map(curve.x[i]), this.y.map(values[i])].map((v) => v.toFixed(1));
    const runs = [[]]; // of points that follow each other without a gap
    curve.x.forEach((x, i) => {
      if (this.x.fits(x) && this.y.fits(curve.y[i])) runs.at(-1).push(i);
      else runs.push([]);
    });
    const held = runs.filter((run) => run.length);
    const hasBand = curve.low.length > 0;
    const inBand = (i) => this.y.fits(curve.low[i]) && this.y.fits(curve.high[i]);
    const parts = [];
    for (const run of held) {
      const banded = hasBand ? run.filter(inBand) : [];
      if (curve.isPoints) {
        parts.push(...banded.map((i) => drawn("path", { class: "bar", d: `M${at(i, curve.low)}L${at(i, curve.high)}` })));
      } else {
        if (banded.length > 1) {
          const way = [...banded.map((i) => at(i, curve.high)), ...banded.reverse().map((i) => at(i, curve.low))];
          parts.push(drawn("path", { class: "band", d: `M${way.join("L")}Z` }));
        }
        parts.push(drawn("path", { d: `M${run.map((i) => at(i)).join("L")}`, "stroke-dasharray": DASHES[curve.dash], "stroke-linecap": curve.dash === "dotted" ? "round" : "butt" }));
      }
      const radius = curve.isPoints ? 5 : curve.x.length <= DOTTED_UP_TO ? 2.5 : run.length === 1 ? 2 : 0;
      if (radius) {
        parts.push(...run.map((i) => drawn("circle", { cx: at(i)[0], cy: at(i)[1], r: radius, "stroke-width": curve.isPoints ? 1 : 0 })));
      }
    }
    const group = drawn("g", { class: curve.colour === "text" ? "curve ink" : "curve", color: paint(curve) }, parts);
    group.dataset.title = curve.title;
    return group;
  }

  /** The value on the horizontal axis nearest to the pointer. */
  under(event) {
    const across = event.clientX - this.svg.getBoundingClientRect().left;
    const known = this.shownCurves.flatMap((curve) => curve.x).filter((x) => this.x.fits(x));
    if (!known.length) return null;
    const far = (x) => Math.abs(this.x.map(x) - across);
    return known.reduce((best, x) => (far(x) < far(best) ? x : best));
  }

  /** Goes to another value by the arrow keys; Home and End go to the ends, Escape closes. */
  step(event) {
    const last = this.stops.length - 1;
    const here = this.place === null ? -1 : this.stops.indexOf(this.place);
    const pace = Math.max(1, Math.round(last / 50));
    const next = { ArrowRight: here < 0 ? 0 : here + pace, ArrowLeft: here < 0 ? last : here - pace, Home: 0, End: last }[event.key];
    if (event.key === "Escape") this.read(null);
    if (next === undefined || last < 0) return;
    event.preventDefault();
    this.read(this.stops[Math.min(last, Math.max(0, next))]);
    this.spoken.textContent = this.reading.innerText;
  }

  /** Shows the value of each curve at x, the highest first; null shows nothing. */
  read(x) {
    this.place = x;
    this.cursor?.replaceChildren();
    this.reading.hidden = x === null;
    if (x === null || !this.cursor) return;
    const across = this.x.map(x);
    const values = [];
    for (const curve of this.shownCurves) {
      let index = -1;
      curve.x.forEach((other, i) => {
        if (!this.x.fits(other) || !this.y.fits(curve.y[i])) return;
        const far = Math.abs(this.x.map(other) - across);
        if (far <= REACH && (index < 0 || far < Math.abs(this.x.map(curve.x[index]) - across))) index = i;
      });
      if (index >= 0) values.push({ curve, index });
    }
    values.sort((a, b) => b.curve.y[b.index] - a.curve.y[a.index]);
    this.cursor.append(drawn("path", { class: "cursor", d: `M${across} ${this.top}V${this.bottom}` }));
    this.reading.replaceChildren(element("strong", {}, [`${this.values.xLabel}: ${shown(x)}`]));
    for (const { curve, index } of values) {
      const band = curve.low.length ? ` (${shown(curve.low[index])}–${shown(curve.high[index])})` : "";
      this.reading.append(element("div", {}, [swatch(curve), element("bdi", {}, [curve.title]), element("span", {}, [shown(curve.y[index]) + band])]));
    }
    const isRight = across > (this.left + this.right) / 2;
    this.reading.style.left = isRight ? ".6rem" : "auto";
    this.reading.style.right = isRight ? "auto" : ".6rem";
  }
}

function drawChart(figure) {
  const place = figure.querySelector(".panels");
  const { panels: values } = JSON.parse(figure.querySelector("script").textContent);
  for (const { curves } of values) curves.forEach((curve, i) => (curve.x ??= curves[i - 1].x));
  const hidden = new Set();
  const panels = values.map((panel) => new Panel(panel, place.dataset.text, hidden));
  const drawAll = () => panels.forEach((panel) => panel.draw());
  place.append(...panels.map((panel) => panel.box));
  place.after(legendOf(values, hidden, place, drawAll));
  new ResizeObserver(drawAll).observe(place);
  addEventListener("beforeprint", drawAll);
}

/** A button for each title: it takes the curve from all panels, and shows it alone while pointed at. */
function legendOf(panels, hidden, place, drawAll) {
  const curves = new Map(panels.flatMap((panel) => panel.curves).map((curve) => [curve.title, curve]));
  const pick = (title) => {
    place.classList.toggle("picked", title !== null && !hidden.has(title));
    for (const group of place.querySelectorAll(".curve")) group.classList.toggle("picked", group.dataset.title === title);
  };
  const buttons = [...curves].map(([title, curve]) => {
    const button = element("button", { type: "button", "aria-pressed": "true" }, [swatch(curve), element("bdi", {}, [title])]);
    button.addEventListener("click", () => {
      if (!hidden.delete(title)) hidden.add(title);
      button.setAttribute("aria-pressed", String(!hidden.has(title)));
      drawAll();
      pick(title);
    });
    button.addEventListener("pointerenter", () => pick(title));
    button.addEventListener("pointerleave", () => pick(null));
    return button;
  });
  return element("div", { class: "legend", role: "group", "aria-label": "Curves" }, buttons);
}

// ---- the page

function chooseTheme(button) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const name = () => (button.textContent = isDark() ? "Light mode" : "Dark mode");
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    name();
  });
  system.addEventListener("change", name);
  name();
  button.hidden = false;
}

/** Opens the folded sections around what the address names. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  if (target) target.scrollIntoView();
}

document.querySelectorAll("table").forEach(makeSortable);
document.querySelectorAll(".chart").forEach(drawChart);
chooseTheme(document.getElementById("page:theme"));
addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => document.querySelectorAll("details.section").forEach((it) => (it.open = true)));
openTarget();
