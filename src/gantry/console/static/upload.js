// Stores files of this computer through STOW-RS (PS3.18 §10.5), in pieces; each answer names every file.
"use strict";

const PIECE_FILES = 64, PIECE_BYTES = 32 << 20; // small enough to show progress and to stop soon
const SHOWN = 1000; // rows of errors
const drop = document.getElementById("drop");
const state = document.getElementById("upload-state");
const errors = document.getElementById("upload-errors");
const count = { stored: 0, there: 0, failed: 0, left: 0, sent: 0 };
let queue = [], total = 0, running = false;
let upload = new AbortController(); // Stop aborts it; files that are added later start a new one

function showProgress() {
  for (const name of ["stored", "there", "failed", "left"]) document.getElementById(name).textContent = count[name].toLocaleString(language);
  const sent = (count.sent / (1 << 20)).toLocaleString(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  document.getElementById("sent").textContent = state.dataset.size.replace("#", sent);
  const bar = document.getElementById("upload-progress");
  bar.max = Math.max(total, 1);
  bar.value = count.stored + count.there + count.failed;
}

function showError(name, message) {
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

// SOP Instance UID of a file (PS3.10 §7.1), by which the answer names it; "" without one.
async function readUid(file) {
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

// One part for each file.
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
  let result;
  try { result = JSON.parse(text); } catch { throw new Error(state.dataset.answered.replace("#", answer.status)); }
  if (result.error) throw Object.assign(new Error(result.error.message), { final: [401, 403, 404].includes(answer.status) });
  const object = Array.isArray(result) ? result[0] : result;
  const items = (tag) => (object[tag]?.Value ?? []).map((item) => ({
    uid: item["00081155"]?.Value?.[0] ?? "",
    // The number of a part says nothing to who has chosen files.
    reason: { kind: item["00091101"]?.Value?.[0] ?? "", text: (item["00091097"]?.Value?.[0] ?? state.dataset.refused).replace(/^part \d+: /, "") },
  }));
  return { stored: items("00081199"), failed: items("00081198") };
}

// A file with an answer counts, even after Stop, which sets the rest to 0.
function finish(item, reason, signal) {
  if (!reason) count.stored += 1;
  else if (reason.kind === "ALREADY_STORED") count.there += 1;
  else showError(item.name, reason.text);
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
      for (const item of piece) finish(item, { kind: "", text: error.message }, signal);
    }
    showProgress();
    return;
  }
  const stored = new Set(answer.stored.map(({ uid }) => uid));
  const failed = new Map(answer.failed.map(({ uid, reason }) => [uid, reason]));
  const unknown = [];
  for (const item of piece) {
    const uid = piece.length === 1 ? [...stored, ...failed.keys()][0] ?? "" : await readUid(item.file);
    if (stored.has(uid)) finish(item, null, signal);
    else if (failed.has(uid) && (uid || piece.length === 1)) finish(item, failed.get(uid), signal);
    else unknown.push(item);
  }
  showProgress();
  // Files that the answer does not name were not stored; sent one by one, each gets its own reason.
  if (piece.length > 1) for (const item of unknown) await sendPiece([item], signal);
  else for (const item of unknown) finish(item, { kind: "", text: state.dataset.unnamed }, signal);
  showProgress();
}

async function run() {
  if (running) return;
  running = true;
  state.hidden = false;
  document.getElementById("upload-title").textContent = state.dataset.running;
  while (queue.length) await sendPiece(nextPiece(), upload.signal);
  document.getElementById("upload-title").textContent = upload.signal.aborted ? state.dataset.stopped : count.failed ? state.dataset.withErrors : state.dataset.finished;
  document.getElementById("stop").disabled = true;
  running = false;
}

function add(files) {
  const added = files.filter(({ name }) => !/(^|\/)(\.DS_Store|Thumbs\.db)$/.test(name));
  if (!added.length) return;
  queue.push(...added);
  total += added.length;
  count.left += added.length;
  if (upload.signal.aborted) upload = new AbortController();
  document.getElementById("stop").disabled = false;
  showProgress();
  run();
}

async function walk(entry) {
  if (entry.isFile) return [{ name: entry.fullPath.slice(1), file: await new Promise((good, bad) => entry.file(good, bad)) }];
  const reader = entry.createReader(), files = [];
  for (;;) {
    const entries = await new Promise((good, bad) => reader.readEntries(good, bad));
    if (!entries.length) return files;
    for (const each of entries) files.push(...await walk(each));
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
document.getElementById("stop").addEventListener("click", () => { upload.abort(); queue = []; count.left = 0; showProgress(); });
addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
