"use strict";
const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const MASKED = -1, SPEEDS = [1, 2, 5, 10, 20, 50, 100], SECONDS = 12;
let sample, step, shown, changed, cells, painted, isFixed;
let timer = null;

/* Opens a sample at its first state. */
function open(number) {
  sample = data.samples[number];
  isFixed = new Set(sample.fixed);
  cells = sample.first.map(() => document.createElement("span"));
  painted = sample.first.map(() => "");
  find("text").replaceChildren(...cells);
  find("slider").max = sample.steps.length;
  rewind();
  find("speed").value = SPEEDS.find((speed) => sample.steps.length / speed <= SECONDS) || SPEEDS.at(-1);
  show(0);
}

function rewind() {
  step = 0;
  shown = sample.first.slice();
  changed = new Set();
}

/* Shows a step: from the present one on, or from the first state. */
function show(wanted) {
  const target = Math.max(0, Math.min(wanted, sample.steps.length));
  if (target < step) rewind();
  while (step < target) {
    const [own, others] = sample.steps[step];
    for (const pairs of [own, others])
      for (let i = 0; i < pairs.length; i += 2) shown[pairs[i]] = pairs[i + 1];
    changed = new Set(own.filter((_, i) => i % 2 === 0));
    step += 1;
  }
  paintAll();
  tell();
}

/* A later piece of a character is marked where the character stands. */
function marked() {
  const marks = new Set();
  for (let place of changed) {
    while (place > 0 && shown[place] !== MASKED && data.texts[shown[place]] === "") place -= 1;
    marks.add(place);
  }
  return marks;
}

function paintAll() {
  const marks = marked();
  for (let place = 0; place < cells.length; place += 1) {
    const kind = (isFixed.has(place) ? " fixed" : "") + (marks.has(place) ? " changed" : "");
    const key = shown[place] + kind;
    if (painted[place] !== key) paint(place, kind);
    painted[place] = key;
  }
}

function paint(place, kind) {
  const cell = cells[place], masked = shown[place] === MASKED;
  const text = masked ? "░".repeat(sample.widths[place]) : data.texts[shown[place]];
  cell.className = text === "" ? "" : "token" + (masked ? " mask" : "") + kind;
  cell.replaceChildren(...text.split(/(\n)/).filter((piece) => piece !== "").map(piece));
}

function piece(text) {
  if (text !== "\n") return document.createTextNode(text);
  const line = document.createElement("span");
  line.className = "newline";
  line.textContent = text;
  return line;
}

function tell() {
  const time = sample.times[step], masked = shown.filter((text) => text === MASKED).length;
  const facts = [`step ${step} of ${sample.steps.length}`];
  if (time !== null) facts.push(`t = ${time}`);
  facts.push(`${masked} masked`, `${changed.size} changed`);
  find("status").textContent = facts.join("  ·  ");
  find("slider").value = step;
  find("slider").setAttribute("aria-valuetext", facts.join(", "));
}

function play(on) {
  clearInterval(timer);
  timer = null;
  find("play").textContent = on ? "Pause" : "Play";
  find("status").setAttribute("aria-live", on ? "off" : "polite");
  if (!on) return;
  if (step === sample.steps.length) show(0);
  timer = setInterval(() => {
    show(step + 1);
    if (step === sample.steps.length) play(false);
  }, 1000 / Number(find("speed").value));
}

function go(wanted) {
  play(false);
  show(wanted);
}

/* Up, down and the page keys stay with the browser: they scroll, or move the slider. */
const KEYS = {
  " ": () => play(timer === null),
  ArrowRight: () => go(step + 1),
  ArrowLeft: () => go(step - 1),
  Home: () => go(0),
  End: () => go(sample.steps.length),
};

document.addEventListener("keydown", (event) => {
  const own = event.target.tagName === "SELECT" || (event.target.tagName === "BUTTON" && event.key === " ");
  if (own || event.ctrlKey || event.altKey || event.metaKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
});
find("play").addEventListener("click", () => play(timer === null));
find("start").addEventListener("click", () => go(0));
find("back").addEventListener("click", () => go(step - 1));
find("next").addEventListener("click", () => go(step + 1));
find("end").addEventListener("click", () => go(sample.steps.length));
find("slider").addEventListener("input", (event) => go(Number(event.target.value)));
find("speed").addEventListener("change", () => play(timer !== null));
find("sample").addEventListener("change", (event) => {
  play(false);
  open(Number(event.target.value));
});

find("speed").append(...SPEEDS.map((speed) => new Option(speed, speed)));
find("sample").append(...data.samples.map((_, number) => new Option(number + 1, number)));
find("which").hidden = data.samples.length === 1;
open(0);
