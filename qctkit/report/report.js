"use strict";
/* The sample browser and the gallery of the report. Needs slices.js. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const WINDOWS = DATA.windows;
const REACHES = [10, 25, 50, 100, 200, 400, 800];
const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const state = {
  id: DATA.order[0], plane: "coronal", cursor: null, window: 0, reach: 0, crossing: true,
  blink: false, scans: null, automatic: 100,
};
const browser = find("#browser");

/* --- unpacking --- */

async function inflated(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function unpacked(id) {
  const held = find(`#slices-${CSS.escape(id)}`);
  if (!held) return null;
  const { shape, spacing_mm, source, difference, step_hu } = JSON.parse(held.textContent);
  const codes = await inflated(source);
  const bytes = await inflated(difference);
  const count = codes.length;
  const real = new Int16Array(count), made = new Int16Array(count), changed = new Int16Array(count);
  const sizes = new Float64Array(count);
  for (let k = 0; k < count; k++) {
    real[k] = DATA.levels_hu[codes[k]];
    changed[k] = (((bytes[k + count] << 24) >> 16) | bytes[k]) * step_hu;
    made[k] = real[k] + changed[k];
    sizes[k] = Math.abs(changed[k]);
  }
  const large = sizes.filter((one) => one > 0).sort();
  const most = large.length ? large[Math.floor(0.98 * (large.length - 1))] : 0;
  return {
    source: new Stack(real, shape, spacing_mm),
    sample: new Stack(made, shape, spacing_mm),
    difference: new Stack(changed, shape, spacing_mm),
    automatic: REACHES.find((reach) => reach >= most) || REACHES.at(-1),
  };
}

/* --- the browser --- */

async function select(id, { reveal = false } = {}) {
  state.id = id;
  const scans = await unpacked(id);
  if (state.id !== id) return; // another one was chosen meanwhile
  const before = state.scans?.source.shape.join();
  state.scans = scans;
  if (scans && scans.source.shape.join() !== before) state.cursor = DATA.samples[id].cursor.slice();
  if (scans) state.automatic = scans.automatic;
  browser.classList.toggle("without-slices", !scans);
  all(".card").forEach((card) => card.setAttribute("aria-pressed", card.dataset.id === id));
  find("#chosen").value = scans ? id : "";
  captions();
  details();
  draw();
  if (reveal) {
    browser.scrollIntoView({ block: "start" });
    browser.focus({ preventScroll: true });
  }
}

function draw() {
  if (!state.scans) return;
  const window_hu = WINDOWS[state.window];
  const reach = state.reach || state.automatic;
  const paints = {
    source: greys(window_hu.low, window_hu.high),
    sample: greys(window_hu.low, window_hu.high),
    difference: blueToOrange(reach),
  };
  all("canvas[data-scan]").forEach((canvas) => {
    const place = canvas.closest("[data-place]").dataset.place;
    const plane = place === "large" ? state.plane : others()[Number(place)];
    const shown = canvas.dataset.scan === "sample" && state.blink ? "source" : canvas.dataset.scan;
    drawSlice(canvas, state.scans[shown], plane, state.cursor, paints[canvas.dataset.scan], state.crossing);
    const axis = PLANES[plane].across;
    canvas.setAttribute(
      "aria-label",
      `${canvas.dataset.scan}, ${plane} slice ${state.cursor[axis] + 1} of ${state.scans.source.shape[axis]}`,
    );
    canvas.dataset.plane = plane;
  });
  all("[data-name]").forEach((one) => (one.textContent = others()[Number(one.dataset.name)]));
  const axis = PLANES[state.plane].across;
  const slider = find("#slice");
  slider.max = state.scans.source.shape[axis] - 1;
  slider.value = state.cursor[axis];
  slider.setAttribute("aria-valuetext", `${state.plane} slice ${state.cursor[axis] + 1}`);
  find("#slice-words").textContent =
    `${state.plane} slice ${state.cursor[axis] + 1} of ${state.scans.source.shape[axis]}`;
  find("#reach-words").textContent = `${reach} HU`;
  find("#reach-low").textContent = `−${reach}`;
  find("#reach-high").textContent = `+${reach} HU`;
  browser.classList.toggle("blinking", state.blink);
  choose("plane", state.plane);
  choose("window", state.window);
}

function others() {
  return Object.keys(PLANES).filter((plane) => plane !== state.plane);
}

function choose(name, value) {
  const button = find(`input[name=${name}][value="${value}"]`, browser);
  if (button) button.checked = true;
}

function captions() {
  const sample = DATA.samples[state.id];
  find("#title").textContent = state.id;
  find("#why").textContent = sample.why ? sample.why : "thumbnail only";
  find("#why").dataset.why = sample.why;
  find("#source-caption").textContent = sample.source_caption;
  find("#sample-caption").textContent = sample.caption;
  const spacing = state.scans?.source.spacing_mm.map((one) => one.toFixed(1)).join(" × ");
  find("#grid-words").textContent = spacing ? `Shown in voxels of ${spacing} mm.` : "";
  find("#small-source").src = DATA.thumbnails[sample.source];
  find("#small-sample").src = find(`.card[data-id="${CSS.escape(state.id)}"] img.made`).src;
}

function move(steps) {
  if (!state.scans) return;
  state.cursor = stepped(state.cursor, state.scans.source, state.plane, steps);
  draw();
}

function turn(steps) {
  const place = DATA.order.indexOf(state.id);
  const next = place < 0 ? 0 : (place + steps + DATA.order.length) % DATA.order.length;
  select(DATA.order[next]);
}

const KEYS = {
  ArrowUp: () => move(-1), ArrowDown: () => move(1), PageUp: () => move(-5), PageDown: () => move(5),
  ArrowLeft: () => turn(-1), ArrowRight: () => turn(1),
  c: () => change({ plane: "coronal" }), a: () => change({ plane: "axial" }),
  s: () => change({ plane: "sagittal" }), x: () => change({ crossing: !state.crossing }),
  " ": () => change({ blink: true }),
};
WINDOWS.forEach((_, place) => (KEYS[place + 1] = () => change({ window: place })));

function change(values) {
  Object.assign(state, values);
  draw();
}

browser.addEventListener("keydown", (event) => {
  const inField = event.target.matches("input, select, button");
  const arrow = event.key.startsWith("Arrow") || event.key.startsWith("Page") || event.key === " ";
  if (event.ctrlKey || event.metaKey || event.altKey || (inField && arrow) || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
browser.addEventListener("keyup", (event) => event.key === " " && change({ blink: false }));
browser.addEventListener("focusout", () => state.blink && change({ blink: false }));

all("canvas[data-scan]").forEach((canvas) => {
  const point = (event) => {
    state.cursor = pointed(event, canvas, state.scans.source, canvas.dataset.plane, state.cursor);
    draw();
  };
  canvas.addEventListener("pointerdown", (event) => {
    browser.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    point(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && point(event));
  canvas.addEventListener(
    "wheel",
    (event) => {
      // The page scrolls as ever until the browser was clicked.
      if (!browser.contains(document.activeElement) || event.ctrlKey) return;
      event.preventDefault();
      const steps = Math.sign(event.deltaY);
      state.cursor = stepped(state.cursor, state.scans.source, canvas.dataset.plane, steps);
      draw();
    },
    { passive: false },
  );
});

find("#slice").addEventListener("input", (event) => {
  state.cursor[PLANES[state.plane].across] = Number(event.target.value);
  draw();
});
find("#chosen").addEventListener("change", (event) => event.target.value && select(event.target.value));
find("#previous").addEventListener("click", () => turn(-1));
find("#next").addEventListener("click", () => turn(1));
find("#reach").addEventListener("change", (event) => change({ reach: Number(event.target.value) }));
all("input[name=plane]").forEach((one) => one.addEventListener("change", () => change({ plane: one.value })));
all("input[name=window]").forEach((one) =>
  one.addEventListener("change", () => change({ window: Number(one.value) })),
);

/* --- what was asked and read --- */

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  return made;
}

function row(cells, header = true) {
  const made = document.createElement("tr");
  cells.forEach((cell, place) =>
    made.append(element(header && place === 0 ? "th" : "td", cell, header && place === 0 ? { scope: "row" } : {})),
  );
  return made;
}

function shown(name, value) {
  if (value === null || value === undefined) return "not known";
  return typeof value === "number" ? value.toFixed(1) : value;
}

function read(name, value) {
  if (name !== "sex") return value.toFixed(1);
  return `${Math.round(100 / (1 + Math.exp(-value)))}% male`;
}

function details() {
  const sample = DATA.samples[state.id];
  find("#asked tbody").replaceChildren(
    ...sample.attributes.map(([name, title, unit]) =>
      row([
        unit ? `${title}, ${unit}` : title,
        shown(name, sample.source_labels[name]),
        sample.targets[name] == null ? "left alone" : shown(name, sample.targets[name]),
        shown(name, sample.labels[name]),
      ]),
    ),
  );
  find("#read tbody").replaceChildren(
    ...sample.readings.map((one) => {
      const [, title] = sample.attributes.find(([name]) => name === one.attribute) ?? [, one.attribute];
      const made = row([
        title, one.predictor, one.role === "loop" ? "in the loop" : "outside",
        read(one.attribute, one.before), read(one.attribute, one.after), read(one.attribute, one.expected),
      ]);
      made.classList.toggle("quiet", !one.carried);
      return made;
    }),
  );
  find("#verdicts").replaceChildren(
    ...sample.verdicts.map((one) => {
      const item = document.createElement("li");
      item.className = one.passed ? "good" : "bad";
      item.append(element("strong", `${one.passed ? "✓" : "✕"} ${one.validator} `), one.words);
      return item;
    }),
  );
  find("#made-by").textContent = `${sample.made_by} ${sample.near}`;
}

/* --- the gallery --- */

const gallery = find("#gallery");
const cards = all(".card", gallery);
const filter = find("#filter");

function sorted() {
  const by = find("#sort").value;
  const [key, sign] = [by.replace(/^-/, ""), by.startsWith("-") ? -1 : 1];
  const unknown = (card) => Number(!card.dataset[key]);
  const order = (one, other) =>
    unknown(one) - unknown(other) || sign * (one.dataset[key] - other.dataset[key]);
  gallery.append(...[...cards].sort(order));
}

function filtered() {
  const words = find("#words").value.trim().toLowerCase();
  const sex = find("#sex").value;
  const slices = find("#with-slices").checked;
  const [low, high] = ["#age-low", "#age-high"].map((one) => find(one).value);
  let count = 0;
  cards.forEach((card) => {
    const age = Number(card.dataset.age);
    const kept =
      (!words || card.dataset.words.includes(words)) &&
      (!sex || card.dataset.sex === sex) &&
      (!slices || card.dataset.slices === "1") &&
      (low === "" || age >= Number(low)) &&
      (high === "" || age <= Number(high));
    card.hidden = !kept;
    count += kept;
  });
  find("#count").textContent = `${count} of ${cards.length} shown`;
}

cards.forEach((card) => card.addEventListener("click", () => select(card.dataset.id, { reveal: true })));
filter.addEventListener("input", filtered);
filter.addEventListener("submit", (event) => event.preventDefault());
filter.addEventListener("reset", () => setTimeout(() => { filtered(); sorted(); }));
find("#sort").addEventListener("change", sorted);
find("#beside").addEventListener("change", (event) => gallery.classList.toggle("beside", event.target.checked));

/* --- methods --- */

find("#copy").addEventListener("click", async () => {
  const text = find("#methods-text");
  try {
    await navigator.clipboard.writeText(text.textContent);
  } catch {
    getSelection().selectAllChildren(text); // a page opened from a file may not be allowed to
    document.execCommand("copy");
  }
  find("#copied").textContent = "Copied.";
});

sorted();
filtered();
select(state.id);
document.documentElement.dataset.ready = "1";
