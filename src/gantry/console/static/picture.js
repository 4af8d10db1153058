// Frames of an instance, rendered by the server: window, level, cine.
"use strict";

const box = document.querySelector(".picture");
const image = document.getElementById("picture");
const [frame, centre, width] = ["frame", "centre", "width"].map((id) => document.getElementById(id));
const trouble = document.getElementById("trouble");
const play = document.getElementById("play");
const frames = Number(box.dataset.frames);
let hasWindow = false;
const oneDigit = (value) => Number(value).toLocaleString(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
let timer = 0;

function address(number) {
  const query = new URLSearchParams({ viewport: "1024,1024" });
  if (hasWindow) query.set("window", `${Number(centre.value)},${Number(width.value)},${Number(width.value) < 1 ? "linear-exact" : "linear"}`);
  return `${box.dataset.web}/frames/${number}/rendered?${query}`;
}

let wanted = "";
let loading = false;

// Loads one picture at a time, always the newest wanted one.
async function show() {
  const number = frame ? Number(frame.value) : 1;
  wanted = address(number);
  image.alt = box.dataset.name.replace("#", number);
  if (frame) document.getElementById("frame-number").value = number;
  if (loading) return;
  loading = true;
  while (image.dataset.shown !== wanted) {
    const next = wanted;
    const loaded = new Image();
    loaded.src = next;
    try {
      await loaded.decode();
      image.src = next;
      reveal("");
    } catch {
      reveal(await explain(next));
    }
    image.dataset.shown = next;
  }
  loading = false;
}

// A picture, or why there is none.
function reveal(why) {
  image.hidden = why !== "";
  trouble.hidden = why === "";
  trouble.textContent = why;
}

// A picture that fails does not say why: the server is asked once more, as by a program.
async function explain(failed) {
  const words = box.dataset.trouble;
  try {
    const answer = await fetch(failed);
    return answer.ok ? words : `${words}: ${(await answer.json()).error.message}`;
  } catch {
    return words;
  }
}

async function explainFirst() {
  const failed = image.src;
  const why = await explain(failed);
  if (image.src === failed && image.dataset.shown === undefined) reveal(why);
}

// The first one may have failed before this script came.
if (image.complete && !image.naturalWidth) explainFirst();
else image.addEventListener("error", explainFirst, { once: true });

function stop() {
  clearInterval(timer);
  timer = 0;
  play.textContent = box.dataset.play;
  play.setAttribute("aria-pressed", "false");
}

frame?.addEventListener("input", () => { if (timer) stop(); show(); });
play?.addEventListener("click", () => {
  if (timer) return stop();
  play.textContent = box.dataset.pause;
  play.setAttribute("aria-pressed", "true");
  timer = setInterval(() => {
    if (loading) return;
    frame.value = Number(frame.value) % frames + 1;
    show();
  }, 1000 / Number(box.dataset.rate));
});
for (const input of [centre, width]) {
  input?.addEventListener("input", () => {
    hasWindow = true;
    document.getElementById("centre-value").value = oneDigit(centre.value);
    document.getElementById("width-value").value = oneDigit(width.value);
    show();
  });
}
document.getElementById("reset")?.addEventListener("click", () => {
  hasWindow = false;
  for (const input of [centre, width]) {
    input.value = input.defaultValue;
    document.getElementById(`${input.id}-value`).value = oneDigit(input.defaultValue);
  }
  show();
});
box.querySelector(".screen").addEventListener("wheel", (event) => {
  if (!frame || frames < 2) return;
  event.preventDefault();
  frame.value = Math.min(frames, Math.max(1, Number(frame.value) + Math.sign(event.deltaY)));
  show();
}, { passive: false });
