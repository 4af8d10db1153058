// Files of this computer through STOW-RS (PS3.18 §10.5), in pieces, each answered file by file.
"use strict";

const PIECE_FILES = 64, PIECE_BYTES = 32 << 20, SHOWN = 1000;
const drop = document.getElementById("drop");
const state = document.getElementById("upload-state");
const errors = document.getElementById("upload-errors");
const count = { stored: 0, failed: 0, left: 0, sent: 0 };
let queue = [], total = 0, running = false;
let upload = new AbortController(); // Stop ends it for good; files that are added later begin another one

function tell() {
  for (const name of ["stored", "failed", "left"]) document.getElementById(name).textContent = count[name].toLocaleString();
  document.getElementById("sent").textContent = `${(count.sent / (1 << 20)).toFixed(1)} MiB`;
  const bar = document.getElementById("upload-progress");
  bar.max = Math.max(total, 1);
  bar.value = count.stored + count.failed;
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

// SOP Instance UID of a file (PS3.10 §7.1), by which the answer tells what became of it; "" where there is none.
async function uidOf(file) {
  const data = new DataView(await file.slice(0, 4096).arrayBuffer());
  const text = (at, length) => String.fromCharCode(...new Uint8Array(data.buffer, at, length));
  if (data.byteLength < 140 || text(128, 4) !== "DICM") return "";
  for (let at = 132; at + 8 <= data.byteLength && data.getUint16(at, true) === 2;) {
    const long = ["OB", "UN", "OW"].includes(text(at + 4, 2));
    const length = long ? data.getUint32(at + 8, true) : data.getUint16(at + 6, true);
    const value = at + (long ? 12 : 8);
    if (data.getUint16(at + 2, true) === 3) return value + length <= data.byteLength ? text(value, length).replace(/[\0 ]+$/, "") : "";
    at = value + length;
  }
  return "";
}

// A part of its own for each file.
async function send(piece, signal) {
  const boundary = `gantry-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
  const parts = [];
  for (const { file } of piece) parts.push(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`, file, "\r\n");
  parts.push(`--${boundary}--\r\n`);
  const answer = await fetch(drop.dataset.stow, {
    method: "POST",
    headers: { "Content-Type": `multipart/related; type="application/dicom"; boundary=${boundary}`, Accept: "application/dicom+json" },
    body: new Blob(parts),
    signal,
  });
  const text = await answer.text();
  let found;
  try { found = JSON.parse(text); } catch { throw new Error(`the server answered ${answer.status}`); }
  if (found.error) throw Object.assign(new Error(found.error.message), { final: [401, 403, 404].includes(answer.status) });
  const object = Array.isArray(found) ? found[0] : found;
  const items = (tag) => (object[tag]?.Value ?? []).map((item) => ({
    uid: item["00081155"]?.Value?.[0] ?? "", reason: item["00091097"]?.Value?.[0] ?? "it was refused",
  }));
  return { stored: items("00081199"), failed: items("00081198") };
}

// What the server has answered counts, also where Stop came in between; then nothing is left.
function finish(item, reason, signal) {
  if (reason) complain(item.name, reason);
  else count.stored += 1;
  count.sent += item.file.size;
  if (!signal.aborted) count.left -= 1;
}

async function sendPiece(piece, signal) {
  if (signal.aborted) return;
  let answer;
  try {
    answer = await send(piece, signal);
  } catch (error) {
    if (signal.aborted) return;
    if (piece.length > 1 && !error.final) {
      for (const item of piece) await sendPiece([item], signal);
    } else {
      for (const item of piece) finish(item, error.message, signal);
    }
    tell();
    return;
  }
  const stored = new Set(answer.stored.map(({ uid }) => uid));
  const failed = new Map(answer.failed.map(({ uid, reason }) => [uid, reason]));
  const unknown = [];
  for (const item of piece) {
    const uid = piece.length === 1 ? [...stored, ...failed.keys()][0] ?? "" : await uidOf(item.file);
    if (stored.has(uid)) finish(item, "", signal);
    else if (failed.has(uid) && (uid || piece.length === 1)) finish(item, failed.get(uid), signal);
    else unknown.push(item);
  }
  tell();
  // What the answer does not name was not stored: one by one it is clear why.
  if (piece.length > 1) for (const item of unknown) await sendPiece([item], signal);
  else for (const item of unknown) finish(item, "the server did not say what became of it", signal);
  tell();
}

async function run() {
  if (running) return;
  running = true;
  state.hidden = false;
  document.getElementById("upload-title").textContent = "Uploading";
  while (queue.length) await sendPiece(nextPiece(), upload.signal);
  document.getElementById("upload-title").textContent = upload.signal.aborted ? "Stopped" : count.failed ? "Finished with errors" : "Finished";
  document.getElementById("stop").disabled = true;
  running = false;
}

function add(files) {
  const found = files.filter(({ name }) => !/(^|\/)(\.DS_Store|Thumbs\.db)$/.test(name));
  if (!found.length) return;
  queue.push(...found);
  total += found.length;
  count.left += found.length;
  if (upload.signal.aborted) upload = new AbortController();
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
document.getElementById("stop").addEventListener("click", () => { upload.abort(); queue = []; count.left = 0; tell(); });
addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
