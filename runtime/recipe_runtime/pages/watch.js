"use strict";
// Follows the events of some runs. What the page shows comes from them and from the runs' plans, and nothing goes back.

const COLORS = ["var(--p1)", "var(--p5)", "var(--p3)", "var(--p4)", "var(--p2)"];
const LATEST = 50; // steps that figures are averaged over
const BINS = 10; // parts of the noise levels from 0 to 1
const SILENT_SECONDS = 300;
const SIDE_BY_SIDE = 8; // clips of a prompt at most, where steps stand side by side
const CLOSED = { "run-finished": "finished", failed: "failed", interrupted: "stopped" };

const $ = (id) => document.getElementById(id);

function h(kind, attributes = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  for (const [size, name, below, belowName] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (whole >= size) {
      const rest = Math.floor((whole % size) / below);
      return `${Math.floor(whole / size)} ${name}${rest ? ` ${rest} ${belowName}` : ""}`;
    }
  }
  return `${whole} s`;
}

function rate(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  return seconds < 0.1 ? `${(1 / Math.max(seconds, 1e-9)).toFixed(1)} steps/s` : `${seconds.toFixed(2)} s/step`;
}

const gigabytes = (amount) => (amount >= 1 ? `${amount.toFixed(2)} GB` : `${(amount * 1000).toFixed(0)} MB`);
const stem = (path) => path.split("/").pop().replace(/\.mp4$/, "");
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

class Run {
  constructor(number, facts) {
    this.number = number;
    this.color = COLORS[number % COLORS.length];
    this.folder = facts.folder;
    this.plan = facts.plan;
    this.forgetAll();
  }

  get name() {
    return this.plan && this.plan.name !== this.short ? `${this.plan.name} (${this.short})` : this.short;
  }

  get short() {
    return this.folder.split("/").filter(Boolean).pop();
  }

  forgetAll() {
    this.state = "waiting";
    this.device = "";
    this.maxSteps = this.plan ? this.plan.max_steps : 0;
    this.steps = new Map();
    this.aligned = new Map();
    this.evaluations = new Map();
    this.clips = new Map();
    this.sheets = new Map();
    this.previews = new Map();
    this.stages = new Map();
    this.told = [];
    this.memory = null;
    this.lastTime = null;
    this.planWanted = false;
    this.reached = 0;
  }

  take(event) {
    this.lastTime = event.time;
    this.reached = Math.max(this.reached, event.step || 0);
    this.state = CLOSED[event.event] || this.state;
    switch (event.event) {
      case "run-started":
        this.state = "running";
        this.device = event.device;
        this.maxSteps = event.max_steps;
        this.stages = new Map();
        this.previews.clear();
        this.planWanted = !this.plan || this.plan.plan_id !== event.plan_id;
        break;
      case "resumed":
        this.forgetAfter(event.step);
        break;
      case "stage-started":
        this.stages.set(event.stage, { total: event.total, done: event.reused, unit: event.unit, seconds: null });
        break;
      case "stage-progress":
        Object.assign(this.stages.get(event.stage) || {}, { done: event.done });
        break;
      case "stage-finished":
        this.stages.set(event.stage, { total: event.total, done: event.total, seconds: event.seconds });
        break;
      case "step":
        this.steps.set(event.step, event);
        break;
      case "alignment":
        this.aligned.set(event.step, event);
        break;
      case "evaluation":
        this.evaluations.set(`${event.dataset}|${event.weights}|${event.step}`, event);
        break;
      case "validation-preview":
        this.previews.set(event.clip, event);
        break;
      case "validation-clip":
        this.clips.set(event.path, { ...event, drawn: event.time });
        this.previews.delete(event.path);
        break;
      case "validation-sheet":
        this.sheets.set(event.name, event);
        break;
      case "memory":
        this.memory = event;
        break;
      case "warning":
      case "failed":
        this.told.push(event);
        break;
    }
    if (this.state !== "running") this.previews.clear();
  }

  forgetAfter(step) {
    for (const kept of [this.steps, this.aligned]) {
      for (const number of kept.keys()) if (number > step) kept.delete(number);
    }
    for (const [name, event] of this.evaluations) if (event.step > step) this.evaluations.delete(name);
    this.reached = step;
  }

  // Clips of steps that a resumed process has not reached again wait: their files are right, and not drawn a second time.
  shownClips() {
    return [...this.clips.values()].filter((clip) => clip.step <= this.reached);
  }

  sheetOf(name) {
    const sheet = this.sheets.get(name);
    return sheet && sheet.step <= this.reached ? sheet : null;
  }

  sorted() {
    return [...this.steps.values()].sort((a, b) => a.step - b.step);
  }

  isSilent() {
    return this.state === "running" && this.lastTime && (Date.now() - Date.parse(this.lastTime)) / 1000 > SILENT_SECONDS;
  }
}

let runs = [];
let charts = {};
const overSteps = { zoom: null, changed: () => refresh() };
const overLevels = { zoom: null, changed: () => refresh() };

function runCard(run) {
  const steps = run.sorted();
  const latest = steps.slice(-LATEST);
  const last = steps[steps.length - 1];
  const timed = latest.length > 1 ? latest.slice(1) : latest;
  const speed = timed.length ? mean(timed.map((step) => step.seconds)) : NaN;
  const left = last ? (run.maxSteps - last.step) * speed : NaN;
  const badge = run.isSilent() ? `silent for ${duration((Date.now() - Date.parse(run.lastTime)) / 1000)}` : run.state;
  const predicted = run.plan ? run.plan.estimate.memory_gb : null;
  const figures = [
    ["step", last ? `${last.step.toLocaleString("en")} / ${run.maxSteps.toLocaleString("en")}` : `0 / ${run.maxSteps}`],
    ["loss", latest.length ? mean(latest.map((step) => step.loss)).toFixed(4) : "–"],
    ["learning rate", last ? last.learning_rate.toPrecision(3) : "–"],
    ["speed", rate(speed)],
    ["left", run.state === "running" ? duration(left) : "–"],
    ["epoch", last ? last.epoch.toFixed(2) : "–"],
    [
      run.memory && run.memory.where === "process" ? "process memory" : "memory at most",
      run.memory ? gigabytes(run.memory.gb) : "–",
    ],
    ["memory predicted", predicted === null ? "–" : gigabytes(predicted)],
  ];
  const stages = (run.plan ? run.plan.stages.filter((stage) => stage !== "validate") : [...run.stages.keys()]).map((name) => {
    const stage = run.stages.get(name);
    if (!stage) return h("span", { class: "stage" }, name);
    if (stage.seconds !== null) return h("span", { class: "stage done" }, `${name} ${duration(stage.seconds)}`);
    const done = name === "train" && last ? last.step : stage.done;
    return h("span", { class: "stage now" }, `${name} ${done}/${stage.total}`);
  });
  const drawing = run.stages.get("validate");
  if (drawing && drawing.seconds === null && run.state === "running") {
    stages.push(h("span", { class: "stage now" }, `validate ${drawing.done}/${drawing.total}`));
  }
  const bar = h("div");
  bar.style.width = `${run.maxSteps && last ? (100 * last.step) / run.maxSteps : 0}%`;
  bar.style.background = run.color;
  const card = h(
    "div",
    { class: "box run", "data-state": run.state },
    h(
      "div",
      { class: "row" },
      h("h3", {}, run.name),
      h("span", { class: `badge ${run.isSilent() ? "silent" : run.state}` }, badge),
      h("span", { class: "soft" }, run.device),
    ),
    h("div", { class: "path" }, run.folder),
    h("div", { class: "progress" }, bar),
    h("div", { class: "figures" }, ...figures.map(([name, value]) => h("div", {}, h("span", {}, name), h("b", {}, value)))),
    h("div", { class: "stages" }, ...stages),
  );
  card.style.borderLeftColor = run.color;
  return card;
}

function drawCharts() {
  const weight = Number($("smooth").value);
  const log = $("log").checked;
  const several = runs.length > 1;
  const named = (run, what) => (several ? (what ? `${run.short}, ${what}` : run.short) : what);
  const over = (name) => (run) => run.sorted().map((step) => [step.step, step[name]]);
  const two = (field) =>
    runs.flatMap((run) => {
      const points = over(field)(run);
      const line = { name: named(run, ""), color: run.color };
      return weight ? [{ ...line, name: "", points, faint: true }, { ...line, points: smoothed(points, weight) }] : [{ ...line, points }];
    });
  const one = (field) => runs.map((run) => ({ name: named(run, ""), color: run.color, points: over(field)(run) }));
  charts.loss.draw(two("loss"), log);
  charts.norm.draw(two("grad_norm"), log);
  charts.speed.draw(two("seconds"), log);
  charts.rate.draw(one("learning_rate"), log);
  const evaluated = [];
  const levels = [];
  let tint = 0;
  const datasets = new Set(runs.flatMap((run) => [...run.evaluations.values()].map((event) => event.dataset)));
  const onlyDataset = datasets.size === 1 ? [...datasets][0] : null;
  for (const run of runs) {
    const series = new Map();
    for (const event of [...run.evaluations.values()].sort((a, b) => a.step - b.step)) {
      const dataset = several && event.dataset === onlyDataset ? "" : event.dataset;
      const name = [dataset, event.weights === "ema" ? "average" : ""].filter(Boolean).join(", ");
      series.set(name, [...(series.get(name) || []), event]);
    }
    for (const [name, events] of series) {
      const color = several ? run.color : COLORS[tint++ % COLORS.length];
      const dashed = several && events[0].weights === "ema";
      evaluated.push({ name: named(run, name), color, dashed, dotted: true, points: events.map((e) => [e.step, e.loss]) });
      if (several && dashed) continue; // so many lines would say nothing
      const ends = events.length > 1 && !several ? [events[0], events[events.length - 1]] : events.slice(-1);
      ends.forEach((event, place) => {
        const points = event.sigmas.map((sigma, n) => [sigma, event.losses[n]]).sort((a, b) => a[0] - b[0]);
        const faint = place === 0 && ends.length > 1;
        levels.push({ name: [named(run, name), `step ${event.step}`].filter(Boolean).join(", "), color, points, faint, dotted: true });
      });
    }
  }
  charts.evaluation.draw(evaluated, log);
  charts.levels.draw(levels, log);
  const binned = runs.map((run) => {
    const parts = new Map();
    for (const step of run.steps.values()) {
      const part = Math.min(Math.floor(step.sigma * BINS), BINS - 1);
      parts.set(part, [...(parts.get(part) || []), step.loss]);
    }
    const points = [...parts].sort((a, b) => a[0] - b[0]).map(([part, losses]) => [(part + 0.5) / BINS, mean(losses)]);
    return { name: named(run, ""), color: run.color, dotted: true, points };
  });
  charts.binned.draw(binned, log);
  const similar = runs.map((run) => ({
    name: named(run, ""),
    color: run.color,
    points: [...run.aligned.values()].sort((a, b) => a.step - b.step).map((event) => [event.step, event.similarity]),
  }));
  charts.similarity.draw(similar, false);
  $("curves").hidden = !runs.some((run) => run.steps.size || run.evaluations.size);
  $("unzoom").hidden = !overSteps.zoom && !overLevels.zoom;
}

// A video stays the same element as long as its file is the same: it must not begin anew with every event.
const videos = new Map();

function addressOf(run, path, version) {
  return `/clips/${run.number}/${path.split("/").map(encodeURIComponent).join("/")}?${encodeURIComponent(version)}`;
}

function video(slot, run, path, version) {
  const address = addressOf(run, path, version);
  let element = videos.get(slot);
  if (!element) {
    element = h("video", { loop: "", playsinline: "", controls: "", preload: "auto" });
    element.muted = true;
    element.autoplay = true;
    videos.set(slot, element);
  }
  if (element.dataset.address !== address) {
    element.dataset.address = address;
    element.src = address;
  }
  return element;
}

// Builds the children of a place anew if what they show has changed. Otherwise they stay: a video that is moved stops.
function fill(parent, shown, build) {
  const key = JSON.stringify(shown);
  if (parent.dataset.key === key) return;
  parent.dataset.key = key;
  parent.replaceChildren(...shown.flatMap(build));
  for (const element of parent.querySelectorAll("video")) element.play().catch(() => {});
}

function drawPreviews() {
  const shown = runs.flatMap((run) => [...run.previews.values()].map((event) => [run.number, event]));
  fill($("preview-tiles"), shown, ([number, event]) => {
    const run = runs[number];
    const what = `${runs.length > 1 ? `${run.short}: ` : ""}${stem(event.clip)}, step ${event.step}`;
    const caption = `${what}, after ${event.sampling_step} of ${event.sampling_steps} sampling steps`;
    const tile = video(`preview|${number}|${event.clip}`, run, event.path, event.time);
    return h("figure", {}, tile, h("figcaption", {}, swatch(run), caption));
  });
  $("previews").hidden = !shown.length;
}

function drawGallery() {
  const steps = [...new Set(runs.flatMap((run) => run.shownClips().map((clip) => clip.step)))].sort((a, b) => a - b);
  $("clips").hidden = !steps.length;
  if (!steps.length) return;
  const slider = $("step");
  slider.max = steps.length - 1;
  if ($("follow").checked) slider.value = steps.length - 1;
  const step = steps[Math.min(Number(slider.value), steps.length - 1)];
  $("step-value").textContent = stepText(step);
  const against = chosenStep(steps);
  const sheets = $("sheets").checked;
  const names = [...new Set(runs.flatMap((run) => run.shownClips().map((clip) => stem(clip.path))))];
  const shown = names.map((name) => ({
    name,
    prompt: promptOf(name),
    sheets,
    clips: runs.flatMap((run) => {
      const own = run.shownClips().filter((clip) => stem(clip.path) === name).sort((a, b) => a.step - b.step);
      if ($("all").checked && sheets) return run.sheetOf(name) ? [[run.number, "sheet", run.sheetOf(name)]] : [];
      if ($("all").checked) return evenly(own, SIDE_BY_SIDE).map((clip) => [run.number, `all ${clip.step}`, clip]);
      const until = (last) => own.filter((clip) => clip.step <= last).pop() || null;
      const now = [run.number, "now", until(step)];
      return against === null || !own.length ? [now] : [[run.number, "against", until(against)], now];
    }),
  }));
  fill($("gallery"), shown, ({ name, prompt, clips }) => [
    h("p", { class: "prompt" }, h("b", {}, name), " ", h("span", { class: "soft" }, prompt)),
    h("div", { class: sheets ? "gallery sheets" : "gallery" }, ...clips.map((clip) => clipFigure(name, ...clip))),
  ]);
}

const stepText = (step) => (step === 0 ? "0 (before training)" : String(step));

// The step that clips are compared with: the list has all steps that have clips, and keeps what was chosen. null is none.
function chosenStep(steps) {
  const list = $("against");
  if (list.dataset.steps !== steps.join()) {
    const before = list.value;
    list.dataset.steps = steps.join();
    const others = steps.map((step) => h("option", { value: String(step) }, `step ${stepText(step)}`));
    list.replaceChildren(h("option", { value: "" }, "no other step"), ...others);
    list.value = steps.map(String).includes(before) ? before : "";
  }
  return list.value === "" ? null : Number(list.value);
}

// The first, the last, and what lies evenly between.
function evenly(values, count) {
  if (values.length <= count) return values;
  return Array.from({ length: count }, (_, n) => values[Math.round((n * (values.length - 1)) / (count - 1))]);
}

function clipFigure(name, number, slot, clip) {
  const run = runs[number];
  const label = runs.length > 1 ? `${run.short}, ` : "";
  const when = !clip ? "no clip so early" : slot === "sheet" ? stepsText(clip.steps) : clip.step ? `step ${clip.step}` : "before training";
  return h("figure", {}, pictureOf(name, run, slot, clip, when), h("figcaption", {}, swatch(run), `${label}${when}`));
}

function pictureOf(name, run, slot, clip, when) {
  if (!clip) return h("div", { class: "empty" }, when);
  if (slot === "sheet") return h("img", { src: addressOf(run, clip.path, clip.time), alt: when });
  if (!$("sheets").checked) return video(`${slot}|${run.number}|${name}`, run, clip.path, clip.drawn);
  if (!clip.sheet) return h("div", { class: "empty" }, "no contact sheet");
  return h("img", { src: addressOf(run, clip.sheet, clip.drawn), alt: when });
}

const stepsText = (steps) => `steps ${steps.join(", ")}`;

function promptOf(name) {
  const prompts = runs.flatMap((run) => (run.plan ? run.plan.prompts : []));
  const found = prompts.find((one) => name === one.nickname || name.startsWith(`${one.nickname}-`));
  return found ? found.text : "";
}

function swatch(run) {
  const mark = h("i", { class: "swatch" });
  mark.style.background = run.color;
  return mark;
}

function drawTold() {
  const told = runs.flatMap((run) => run.told.map((event) => [run, event])).sort((a, b) => (a[1].time < b[1].time ? 1 : -1));
  $("told").hidden = !told.length;
  const lines = told.slice(0, 100).map(([run, event]) =>
    h(
      "p",
      { class: "told" },
      h("span", { class: "soft" }, `${event.time.slice(0, 19).replace("T", " ")} ${runs.length > 1 ? run.name : ""} `),
      event.message,
    ),
  );
  $("told-list").replaceChildren(...lines);
}

function drawData() {
  const boxes = runs.filter((run) => run.plan).map((run) => {
    const fates = Object.entries(run.plan.clips);
    const most = Math.max(...fates.map(([, count]) => count), 1);
    const rows = fates.map(([fate, count]) => {
      const bar = h("div");
      bar.style.width = `${(100 * count) / most}%`;
      return h("tr", {}, h("td", {}, fate), h("td", { class: "number" }, count.toLocaleString("en")), h("td", { class: "bar" }, bar));
    });
    const buckets = run.plan.buckets.map((one) => `${one.name}: ${one.clips}`).join(", ");
    return h(
      "div",
      { class: "box" },
      h("h3", {}, swatch(run), runs.length > 1 ? run.name : "Files by fate"),
      h("table", { class: "bars" }, ...rows),
      h("p", { class: "soft" }, `clips by size and frames: ${buckets}`),
      h("p", { class: "soft" }, `${run.plan.samples_per_step} samples a step, ${run.plan.samples_per_epoch} an epoch`),
    );
  });
  $("data").replaceChildren(...boxes);
}

function drawSettings() {
  const planned = runs.filter((run) => run.plan);
  const text = (value) => (value === undefined ? "–" : JSON.stringify(value));
  const several = planned.length > 1;
  $("settings-title").textContent = several ? "Settings that differ" : "Settings";
  let rows;
  if (several) {
    const of = planned.map((run) => new Map(run.plan.settings.map((one) => [one.path, one.value])));
    const paths = [...new Set(of.flatMap((settings) => [...settings.keys()]))].sort();
    const differ = paths.filter((path) => new Set(of.map((settings) => text(settings.get(path)))).size > 1);
    rows = [
      h("tr", {}, h("th", {}, "key"), ...planned.map((run) => h("th", {}, swatch(run), run.name))),
      ...differ.map((path) =>
        h("tr", {}, h("td", { class: "mono" }, path), ...of.map((settings) => h("td", { class: "mono value" }, text(settings.get(path))))),
      ),
    ];
  } else {
    rows = planned.flatMap((run) => [
      h("tr", {}, h("th", {}, "key"), h("th", {}, "value"), h("th", {}, "where from")),
      ...run.plan.settings
        .filter((one) => one.chosen)
        .map((one) =>
          h("tr", {}, h("td", { class: "mono" }, one.path), h("td", { class: "mono value" }, text(one.value)), h("td", { class: "soft" }, one.origin)),
        ),
    ]);
  }
  $("settings").replaceChildren(h("table", {}, ...rows));
}

let waiting = false;

// Draws at most twice a second, however many events come.
function refresh() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    $("runs").replaceChildren(...runs.map(runCard));
    drawCharts();
    drawPreviews();
    drawGallery();
    drawTold();
    const names = runs.map((run) => run.name).join(", ");
    document.title = `${names} · recipe watch`;
  }, 80);
}

async function readPlans() {
  const facts = await (await fetch("/runs.json")).json();
  if (!runs.length) runs = facts.map((one, number) => new Run(number, one));
  runs.forEach((run, number) => {
    run.plan = facts[number].plan;
  });
  drawData();
  drawSettings();
}

function follow() {
  const source = new EventSource("/events");
  const link = $("link");
  source.onopen = () => {
    link.textContent = "following";
    link.className = "badge finished";
  };
  source.onerror = () => {
    link.textContent = "the server is gone: start `recipe watch` again";
    link.className = "badge failed";
  };
  source.addEventListener("anew", (message) => runs[JSON.parse(message.data).run].forgetAll());
  source.addEventListener("more", (message) => {
    const { run, events } = JSON.parse(message.data);
    for (const event of events) runs[run].take(event);
    if (runs.some((one) => one.planWanted)) {
      for (const one of runs) one.planWanted = false;
      readPlans().then(refresh);
    }
    refresh();
  });
}

async function start() {
  await readPlans();
  const parent = $("charts");
  charts = {
    loss: new Chart(parent, "Loss", "step", overSteps),
    evaluation: new Chart(parent, "Evaluation loss", "step", overSteps),
    levels: new Chart(parent, "Evaluation loss by noise level", "σ", overLevels),
    binned: new Chart(parent, "Training loss by noise level", "σ", overLevels),
    rate: new Chart(parent, "Learning rate", "step", overSteps),
    norm: new Chart(parent, "Gradient norm", "step", overSteps),
    speed: new Chart(parent, "Seconds a step", "step", overSteps),
    similarity: new Chart(parent, "Similarity to the teacher", "step", overSteps),
  };
  $("smooth").addEventListener("input", () => {
    $("smooth-value").textContent = Number($("smooth").value).toFixed(2);
    refresh();
  });
  $("log").addEventListener("change", refresh);
  $("unzoom").addEventListener("click", () => {
    overSteps.zoom = overLevels.zoom = null;
    refresh();
  });
  $("step").addEventListener("input", () => {
    $("follow").checked = false;
    refresh();
  });
  $("follow").addEventListener("change", refresh);
  for (const id of ["against", "all", "sheets"]) $(id).addEventListener("change", refresh);
  $("together").addEventListener("click", () => {
    for (const element of document.querySelectorAll("#gallery video")) {
      element.currentTime = 0;
      element.play().catch(() => {});
    }
  });
  refresh();
  setInterval(refresh, 10000);
  follow();
}

start();
