// Files of this computer through STOW-RS (PS3.18 §10.5), in pieces, each answered file by file.
"use strict";

const PIECE_FILES = 64, PIECE_BYTES = 32 << 20, SHOWN = 1000;
const drop = document.getElementById("drop");
const state = document.getElementById("upload-state");
const errors = document.getElementById("upload-errors");
const count = { stored: 0, failed: 0, left: 0, sent: 0 };
let queue = [], total = 0, stopped = false, running = false;

function tell() {
  for (const name of ["stored", "failed", "left"]) document.getElementById(name).textContent = count[name].toLocaleString();
  document.getElementById("sent").textContent = `${(count.sent / (1 << 20)).toFixed(1)} MiB`;
  const bar = document.getElementById("upload-progress");
  bar.max = Math.max(total, 1);
  bar.value = total - count.left;
}

function complain(name, message) {
  count.failed += 1;
  errors.hidden = false;
  const body = errors.querySelector("tbody");
  if (body.rows.length >= SHOWN) return;
  const row = body.insertRow();
  const code = document.createElement("code");
  code.textContent = name;
  row.insertCell().append(code);
  row.insertCell().textContent = message;
}

function nextPiece() {
  const piece = [];
  let size = 0;
  while (queue.length && piece.length < PIECE_FILES && (!piece.length || size + queue[0].file.size <= PIECE_BYTES)) {
    const item = queue.shift();
    piece.push(item);
    size += item.file.size;
  }
  return piece;
}

// A part of its own for each file; what is wrong with one is told by its place in the answer.
async function send(piece) {
  const boundary = `gantry-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
  const parts = [];
  for (const { file } of piece) parts.push(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`, file, "\r\n");
  parts.push(`--${boundary}--\r\n`);
  const answer = await fetch(drop.dataset.stow, {
    method: "POST",
    headers: { "Content-Type": `multipart/related; type="application/dicom"; boundary=${boundary}`, Accept: "application/dicom+json" },
    body: new Blob(parts),
  });
  const text = await answer.text();
  let found;
  try { found = JSON.parse(text); } catch { throw new Error(`${answer.status} ${answer.statusText}`); }
  if (found.error) throw Object.assign(new Error(found.error.message), { code: answer.status });
  const object = Array.isArray(found) ? found[0] : found;
  return { stored: object["00081199"]?.Value?.length ?? 0, failed: object["00081198"]?.Value ?? [], others: object["0008119A"]?.Value ?? [] };
}

async function sendPiece(piece) {
  try {
    const { stored, failed, others } = await send(piece);
    if (piece.length === 1) {
      if (stored) count.stored += 1;
      else complain(piece[0].name, reason(failed[0] ?? others[0]));
    } else if (!failed.length && !others.length) {
      count.stored += stored;
    } else {
      // Which file it was the answer cannot say for files without UIDs: they are sent once more, one by one.
      for (const item of piece) await sendPiece([item]);
      return;
    }
    for (const { file } of piece) { count.sent += file.size; count.left -= 1; }
  } catch (error) {
    if (piece.length > 1 && error.code !== 401 && error.code !== 403) {
      for (const item of piece) await sendPiece([item]);
      return;
    }
    for (const item of piece) { complain(item.name, error.message); count.left -= 1; }
  }
  tell();
}

const REASONS = {
  43264: "this is no DICOM file, or not the instance that it says it is", 49442: "its UIDs do not fit", 272: "the server could not store it",
  45070: "an instance with this UID is stored already", 273: "an instance with this UID is stored already, with other content", 49152: "this is no DICOM file that can be read",
  290: "its SOP class is not supported", 42752: "the server is out of space",
};

function reason(item) {
  const code = item?.["00081197"]?.Value?.[0];
  return item?.["00090010"] ? `${code}` : REASONS[code] ?? `it was refused (failure reason ${code ?? "unknown"})`;
}

async function run() {
  if (running) return;
  running = true;
  state.hidden = false;
  document.getElementById("upload-title").textContent = "Uploading";
  while (queue.length && !stopped) await sendPiece(nextPiece());
  document.getElementById("upload-title").textContent = stopped ? "Stopped" : count.failed ? "Finished with errors" : "Finished";
  document.getElementById("stop").disabled = true;
  running = false;
}

function add(files) {
  const found = files.filter(({ name }) => !/(^|\/)(\.DS_Store|Thumbs\.db)$/.test(name));
  if (!found.length) return;
  queue.push(...found);
  total += found.length;
  count.left += found.length;
  stopped = false;
  document.getElementById("stop").disabled = false;
  tell();
  run();
}

async function walk(entry) {
  if (entry.isFile) return [{ name: entry.fullPath.slice(1), file: await new Promise((good, bad) => entry.file(good, bad)) }];
  const reader = entry.createReader(), found = [];
  for (;;) {
    const entries = await new Promise((good, bad) => reader.readEntries(good, bad));
    if (!entries.length) return found;
    for (const each of entries) found.push(...await walk(each));
  }
}

for (const id of ["files", "folder"]) {
  const input = document.getElementById(id);
  input.addEventListener("change", () => {
    add([...input.files].map((file) => ({ name: file.webkitRelativePath || file.name, file })));
    input.value = "";
  });
}
drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  for (const entry of entries) add(await walk(entry));
});
document.getElementById("stop").addEventListener("click", () => { stopped = true; queue = []; count.left = 0; tell(); });
addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
