"use strict";
const find = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const data = JSON.parse(find("data").textContent);

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/* Sorting: up, down, as it was. A cell has its number in data-n; a column of numbers is sorted by
   them, and what has nothing stays last. */
const TURNS = { none: "ascending", ascending: "descending", descending: "none" };

function sort(head) {
  const body = head.closest("table").tBodies[0], column = head.cellIndex;
  const turn = TURNS[head.getAttribute("aria-sort") || "none"];
  for (const other of all("th", head.parentElement)) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", turn);
  const rows = [...body.rows];
  const numeric = rows.some((row) => row.cells[column].dataset.n !== undefined);
  const keys = new Map(rows.map((row) => [row, key(row.cells[column], numeric)]));
  const sign = turn === "descending" ? -1 : 1;
  rows.sort((a, b) => row(a) - row(b));
  if (turn !== "none") rows.sort((a, b) => compare(keys.get(a), keys.get(b), sign));
  body.append(...rows);
}

const row = (one) => Number(one.dataset.row);

function key(cell, numeric) {
  if (numeric) return cell.dataset.n === undefined ? null : Number(cell.dataset.n);
  return cell.textContent.trim() || null;
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number") return sign * (a - b);
  return sign * a.localeCompare(b, undefined, { numeric: true });
}

/* Filters: rows of tables, samples and the points of charts say their algorithm and corpus. */
let wanted = { words: [], algo: "", corpus: "" };

function matches(algo, corpus, text) {
  const lower = wanted.words.length ? text().toLowerCase() : "";
  return (!wanted.algo || algo === wanted.algo) && (!wanted.corpus || corpus === wanted.corpus)
    && wanted.words.every((word) => lower.includes(word));
}

function filter() {
  const words = find("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  wanted = { words, algo: find("algo").value, corpus: find("corpus").value };
  let shown = 0, total = 0;
  for (const block of all(".block")) {
    const items = all("[data-algo]", block);
    const about = block.dataset.words || "";
    for (const item of items)
      item.hidden = !matches(item.dataset.algo, item.dataset.corpus, () => about + " " + item.textContent);
    const left = items.filter((item) => !item.hidden).length;
    block.hidden = items.length > 0 && left === 0;
    shown += left;
    total += items.length;
  }
  const on = words.length || wanted.algo || wanted.corpus;
  find("shown").textContent = on ? `${shown} of ${total} rows shown` : "";
  charts.forEach((chart) => chart.filter());
}

/* Charts: a figure has one view for each choice and group; views share the page's datasets. */
class Chart {
  constructor(figure, about) {
    Object.assign(this, { figure, about, drawn: null, shown: null, groups: figure.querySelector("select") });
    this.offer();
    figure.addEventListener("change", (event) => {
      if (event.target !== this.groups) this.offer();
      this.draw();
    });
    figure.querySelector("details").addEventListener("toggle", () => this.list());
  }

  /* What of the figure's data a view shows. */
  rows(view) {
    return data.datasets[this.about.dataset].filter((one) =>
      one[view.grouped] === view.group && matches(one.algo, one.corpus, () => Object.values(one).join(" ")));
  }

  /* Offers the groups of the choice that the filters leave something of; the chosen one stays, or
     the one at its place: their order is about the same for all choices. */
  offer() {
    const choice = this.figure.querySelector("input:checked")?.value ?? "";
    const old = { value: this.groups.value, place: Math.max(0, this.groups.selectedIndex) };
    this.views = this.about.views.filter((view) => view.choice === choice && this.rows(view).length);
    this.groups.replaceChildren(...this.views.map((view) => new Option(view.group)));
    const same = this.views.findIndex((view) => view.group === old.value);
    this.groups.selectedIndex = same >= 0 ? same : Math.min(old.place, this.views.length - 1);
    this.groups.disabled = this.views.length < 2;
    this.figure.hidden = !this.views.length;
  }

  get view() {
    return this.views[this.groups.selectedIndex];
  }

  async draw() {
    if (this.figure.hidden) return;
    this.shown = this.view;
    const size = { width: "container", autosize: { type: "fit-x", contains: "padding" } };
    const spec = { ...this.shown.spec, ...size, datasets: { [this.about.dataset]: this.rows(this.shown) } };
    const options = { actions: false, ast: true, renderer: "svg", defaultStyle: false, tooltip: tip, config: fitting(this.figure.clientWidth) };
    const old = this.drawn;
    this.drawn = (await vegaEmbed(this.figure.querySelector(".chart"), spec, options)).view;
    if (old) old.finalize();
    for (const link of all(".files a", this.figure)) link.href = `${this.shown.file}.${link.dataset.kind}`;
    this.list();
  }

  filter() {
    this.offer();
    if (this.view !== this.shown) this.draw();
    else if (this.view) this.drawn?.data(this.about.dataset, this.rows(this.view)).runAsync();
    this.list();
  }

  /* The same numbers as a table, for those who cannot point. */
  list() {
    const details = this.figure.querySelector("details");
    if (!details.open || this.figure.hidden) return;
    const fields = this.view.fields;
    const head = make("tr", {}, ...fields.map(([, title]) => make("th", { scope: "col" }, make("span", {}, title))));
    const lines = this.rows(this.view).map((one) => make("tr", {}, ...fields.map(([name, title], place) => cell(one, name, title, place))));
    const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines));
    details.querySelector(".frame").replaceChildren(table);
  }
}

/* The looks of charts, with legends and labels that a narrow page has room for. */
function fitting(width) {
  const legend = { ...data.config.legend, columns: Math.max(1, Math.floor(width / 160)) };
  const axis = { ...data.config.axis, labelLimit: Math.min(data.config.axis.labelLimit, width * .38) };
  return { ...data.config, legend, axis };
}

function cell(one, name, title, place) {
  const value = Array.isArray(one[name]) ? one[name].at(-1) : one[name];
  const text = typeof value === "number" ? String(Number(value.toPrecision(5))) : value ?? "";
  const attributes = { "data-label": title, ...(place > 0 && typeof value === "number" ? {} : { class: "words" }) };
  return make("td", attributes, place === 0 && one.href ? make("a", { href: one.href }, text) : text);
}

function tip(handler, event, item, value) {
  const box = find("tip");
  box.hidden = value === null || value === undefined || value === "";
  if (box.hidden) return;
  const entries = Object.entries(Object(value) === value ? value : { "": value });
  box.replaceChildren(make("dl", {}, ...entries.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, String(text))])));
  const { width, height } = box.getBoundingClientRect();
  const over = event.clientX + 14 + width > innerWidth;
  box.style.left = `${Math.max(4, over ? event.clientX - width - 14 : event.clientX + 14)}px`;
  box.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 4))}px`;
}

/* Records: the address #record-N opens the fields of the N-th. */
function flat(fields, above = "") {
  return Object.entries(fields).flatMap(([name, value]) =>
    Object(value) === value && !Array.isArray(value) ? flat(value, `${above}${name}.`) : [[above + name, value]]);
}

function said(value) {
  return value === null ? "none" : Array.isArray(value) ? value.join(", ") : String(value);
}

function open() {
  const number = /^#record-(\d+)$/.exec(location.hash);
  const record = number && data.records[Number(number[1])];
  if (!record) return;
  const { algo, metric } = record.fields;
  find("record-title").textContent = `${algo}: ${metric} on ${record.fields.data.name}`;
  find("record-file").href = record.file;
  const parts = flat(record.fields).flatMap(([name, value]) => [make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, said(value))]);
  find("record-fields").replaceChildren(make("dl", {}, ...parts));
  find("record").showModal();
  find("record").scrollTop = 0;
}

/* What an address names may lie in folds. */
function reveal() {
  const target = /^#[\w-]+$/.test(location.hash) && find(location.hash.slice(1));
  for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  if (target) target.scrollIntoView();
}

addEventListener("hashchange", () => { open(); reveal(); });
find("record").addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
find("close").addEventListener("click", () => find("record").close());
document.addEventListener("click", (event) => {
  if (event.target === find("record")) find("record").close();
  const link = event.target.closest("a[data-record]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  location.hash = `record-${link.dataset.record}`;
});

for (const head of all("th[aria-sort]")) head.firstElementChild.addEventListener("click", () => sort(head));
const charts = all("figure").map((figure) => new Chart(figure, data.figures[figure.dataset.figure]));
find("filter").addEventListener("input", filter);
find("filter").addEventListener("submit", (event) => event.preventDefault());
find("filter").addEventListener("reset", () => setTimeout(filter));
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || find("record").open || find("filter").hidden;
  if (event.key !== "/" || typing || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  find("words").focus();
});
let resized;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => charts.forEach((chart) => chart.draw()), 200);
});
Promise.all(charts.map((chart) => chart.draw())).then(() => document.body.dataset.drawn = "yes");
open();
reveal();
