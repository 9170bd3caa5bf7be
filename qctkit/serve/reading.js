"use strict";
/* The page of a blinded reading. Needs slices.js. */

const find = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const state = { reader: "", place: 0, stack: null, cursor: null, plane: "coronal", low: -150, high: 1000, crossing: true, since: 0,
  waiting: false, saved: null };

async function ask(what, values) {
  const reply = await fetch(what, { method: "POST", body: JSON.stringify(values) });
  if (!reply.ok) throw new Error((await reply.json()).error);
  return reply;
}

function only(id) {
  ["start", "reading", "end"].forEach((one) => (find(`#${one}`).hidden = one !== id));
}

find("#begin").addEventListener("submit", async (event) => {
  event.preventDefault();
  state.reader = find("#reader").value.trim();
  try {
    await next((await (await ask("begin", { reader: state.reader })).json()).done);
  } catch (error) {
    find("#start-error").textContent = error.message;
  }
});

function progress(done) {
  const bar = find("#progress");
  bar.value = done;
  find("#place").textContent = `Scan ${Math.min(done + 1, bar.max)} of ${bar.max}`;
}

/* Shows the scan that comes after those done. Until it is there no key counts as its answer. */
async function next(done) {
  const reply = await ask("scan", { reader: state.reader });
  const about = reply.headers.get("X-About");
  if (!about) {
    find("#end-words").textContent = `You have read all ${find("#progress").max} scans.`;
    only("end");
    return;
  }
  const { place, shape, spacing_mm } = JSON.parse(about);
  state.place = place;
  state.stack = new Stack(new Int16Array(await reply.arrayBuffer()), shape, spacing_mm);
  state.cursor = state.stack.middle();
  all("[name=verdict]").forEach((one) => (one.checked = false));
  find("#save").disabled = true;
  only("reading");
  progress(done);
  draw();
  find("#reading").focus();
  state.since = performance.now();
  document.documentElement.dataset.place = place;
}

/* Saves the answer, once, then shows the next scan; tried again, it goes on from where it failed. */
async function saveAndGoOn(answer) {
  try {
    state.saved ??= (await (await ask("answer", answer)).json()).done;
    await next(state.saved);
    state.saved = null;
    find("#error").textContent = "";
  } catch (error) {
    const what = state.saved === null ? "Not saved" : "Your answer is saved, but the next scan did not come";
    find("#error").textContent = `${what}: ${error.message}. Is qctkit still running? Try again.`;
    find("#save").disabled = false;
  }
}

function draw() {
  const paint = greys(state.low, state.high);
  all("canvas").forEach((canvas) => {
    const plane = canvas.dataset.plane;
    const axis = PLANES[plane].across;
    const length = state.stack.shape[axis];
    drawSlice(canvas, state.stack, plane, state.cursor, paint, state.crossing);
    canvas.setAttribute("aria-label", `${plane} slice ${state.cursor[axis] + 1} of ${length}`);
    const slider = find(`[data-slice=${plane}]`);
    slider.max = length - 1;
    slider.value = state.cursor[axis];
  });
  find("#level").value = (state.low + state.high) / 2;
  find("#width").value = state.high - state.low;
  find("#window-words").textContent = `${Math.round(state.low)} to ${Math.round(state.high)} HU`;
}

function change(values) {
  Object.assign(state, values);
  if (state.stack) draw();
}

function leaf(plane, steps) {
  change({ plane, cursor: stepped(state.cursor, state.stack, plane, steps) });
}

all("canvas").forEach((canvas) => {
  const plane = canvas.dataset.plane;
  const point = (event) => change({ plane, cursor: pointed(event, canvas, state.stack, plane, state.cursor) });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    point(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && point(event));
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      leaf(plane, Math.sign(event.deltaY));
    },
    { passive: false },
  );
});

all("[data-slice]").forEach((slider) =>
  slider.addEventListener("input", () => {
    const plane = slider.dataset.slice;
    const cursor = [...state.cursor];
    cursor[PLANES[plane].across] = Number(slider.value);
    change({ plane, cursor });
  }),
);

all("[name=window]").forEach((one) =>
  one.addEventListener("change", () => {
    const [low, high] = one.value.split(",").map(Number);
    change({ low, high });
  }),
);

["#level", "#width"].forEach((one) =>
  find(one).addEventListener("input", () => {
    const [level, width] = [Number(find("#level").value), Number(find("#width").value)];
    all("[name=window]").forEach((preset) => (preset.checked = false));
    change({ low: level - width / 2, high: level + width / 2 });
  }),
);

all("[name=verdict]").forEach((one) => one.addEventListener("change", () => (find("#save").disabled = false)));

find("#answer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const chosen = find("[name=verdict]:checked");
  if (!chosen || state.waiting) return;
  const [kind, confidence] = chosen.value.split(",");
  state.waiting = true; // an impatient second click must not answer the next scan
  find("#save").disabled = true;
  await saveAndGoOn({
    reader: state.reader, place: state.place, made: kind === "fake", confidence: Number(confidence),
    seconds: Math.round((performance.now() - state.since) / 100) / 10,
  });
  state.waiting = false;
});

addEventListener("keydown", (event) => {
  if (find("#reading").hidden || state.waiting || event.ctrlKey || event.metaKey || event.altKey) return;
  const verdict = all("[name=verdict]")[Number(event.key) - 1];
  const inSlider = event.target.matches("input[type=range]");
  if (verdict) verdict.click();
  else if (event.key === "Enter") find("#answer").requestSubmit();
  else if (event.key === "w") nextWindow();
  else if (event.key === "x") change({ crossing: !state.crossing });
  else if (event.key === "ArrowUp" && !inSlider) leaf(state.plane, -1);
  else if (event.key === "ArrowDown" && !inSlider) leaf(state.plane, 1);
  else return;
  event.preventDefault();
});

function nextWindow() {
  const presets = all("[name=window]");
  const now = presets.findIndex((one) => one.checked);
  presets[(now + 1) % presets.length].click();
}
