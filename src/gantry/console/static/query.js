// The editor of queries: keys, names that are inserted, queries that this browser keeps.
"use strict";

const editor = document.getElementById("text");

function insertText(text) {
  editor.focus();
  // Unlike a change of its value, this can be undone.
  if (!document.execCommand("insertText", false, text)) {
    editor.setRangeText(text, editor.selectionStart, editor.selectionEnd, "end");
  }
}

function replaceText(text) {
  editor.focus();
  editor.select();
  insertText(text);
  editor.setSelectionRange(0, 0);
  editor.scrollTop = 0;
}

// Places of errors count characters, not the halves that some have in JavaScript.
function showPlace() {
  const place = document.querySelector("pre.place");
  if (!place) return;
  const row = Number(place.dataset.row), column = Number(place.dataset.column);
  const lines = editor.value.split("\n");
  const before = lines.slice(0, row - 1).join("\n").length + (row > 1 ? 1 : 0);
  const at = before + [...(lines[row - 1] ?? "")].slice(0, column - 1).join("").length;
  editor.focus();
  editor.setSelectionRange(at, at);
}

function keepQueries() {
  const place = document.getElementById("saved"), key = `gantry.queries.${place.dataset.who}`;
  const read = () => {
    try { return JSON.parse(localStorage.getItem(key)) ?? {}; } catch { return {}; }
  };
  const write = (found) => {
    try { localStorage.setItem(key, JSON.stringify(found)); } catch { return; }
    show();
  };
  const list = place.querySelector("ul"), form = place.querySelector("form");
  function show() {
    list.replaceChildren(...Object.entries(read()).map(([name, text]) => {
      const item = document.createElement("li"), use = document.createElement("button"), forget = document.createElement("button");
      use.type = forget.type = "button";
      use.className = forget.className = "insert";
      use.textContent = name;
      use.title = String(text);
      forget.textContent = "✕";
      forget.setAttribute("aria-label", place.dataset.forget.replace("#", () => name));
      use.addEventListener("click", () => replaceText(String(text)));
      forget.addEventListener("click", () => { const found = read(); delete found[name]; write(found); });
      item.append(use, forget);
      return item;
    }));
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const input = form.querySelector("input");
    write({ ...read(), [input.value.trim()]: editor.value });
    input.value = "";
  });
  place.hidden = false;
  show();
}

function showFinders(root) {
  for (const input of root.querySelectorAll(".fields .find")) input.hidden = false;
}

if (editor) {
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      editor.form.requestSubmit();
    }
  });
  document.addEventListener("click", (event) => {
    const name = event.target.closest("[data-insert]"), starter = event.target.closest("a[data-text]");
    if (name) insertText(name.dataset.insert);
    if (starter && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      replaceText(starter.dataset.text);
    }
  });
  document.addEventListener("input", (event) => {
    if (!event.target.matches(".fields .find")) return;
    const wanted = event.target.value.trim().toLowerCase();
    for (const item of event.target.closest(".fields").querySelectorAll(".names li")) {
      item.hidden = !item.textContent.toLowerCase().includes(wanted);
    }
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    showFinders(document);
    if (event.detail.target.id === "result") showPlace();
  });
  showFinders(document);
  keepQueries();
  showPlace();
}
