// Times in the reader's locale, menus that close, forms that show the fields of the chosen option.
"use strict";

// The reader's own form of the page's language; on English pages that of any other language than those of the console.
const language = document.documentElement.lang;
const locale = navigator.languages.find((each) => each.slice(0, 2) === language.slice(0, 2))
  ?? (language === "en" && !/^(pt|fr)/.test(navigator.language) ? navigator.language : language);
const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "long" });

function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (!isNaN(date)) {
      time.title = time.dateTime;
      time.textContent = format.format(date);
    }
  }
}

function closeMenus(but) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== but) menu.open = false;
}

function requireConfirmations(root) {
  for (const input of root.querySelectorAll("input[data-expected]")) {
    const button = input.form.querySelector("button");
    const expected = JSON.parse(input.dataset.expected).map((text) => text.trim().toLowerCase());
    const check = () => { button.disabled = !expected.includes(input.value.trim().toLowerCase()); };
    input.addEventListener("input", check);
    check();
  }
}

// Shows only the fields of the chosen option.
function showChoices(root) {
  for (const set of root.querySelectorAll("fieldset[data-choice]")) {
    const check = () => {
      const chosen = set.querySelector(`input[name="${set.dataset.choice}"]:checked`);
      for (const part of set.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== chosen?.value;
    };
    set.addEventListener("change", check);
    check();
  }
}

function filterTransferSyntaxes() {
  const kind = document.getElementById("mime_type"), syntax = document.getElementById("syntax");
  if (!kind || !syntax) return;
  const check = () => {
    for (const option of syntax.options) {
      option.hidden = option.disabled = Boolean(option.value) && !option.dataset.kinds.split(" ").includes(kind.value);
    }
    if (syntax.selectedOptions[0]?.disabled) syntax.value = "";
  };
  kind.addEventListener("change", check);
  check();
}

function fillPath() {
  const modify = document.getElementById("modify"), uri = document.getElementById("uri");
  if (!modify || !uri) return;
  const check = () => {
    const bucket = document.getElementById("bucket").value;
    if (modify.checked && !uri.value && bucket) {
      uri.value = `gs://${bucket}/${document.querySelector("input[name=prefix]")?.value ?? ""}**`;
    }
    uri.disabled = !modify.checked;
  };
  modify.addEventListener("change", check);
  check();
}

function readChosenFiles() {
  for (const input of document.querySelectorAll("input[data-fills]")) {
    input.addEventListener("change", async () => {
      if (input.files[0]) document.getElementById(input.dataset.fills).value = await input.files[0].text();
    });
  }
}

// In the place of a thumbnail that cannot be made stands the modality; a broken picture would cover it.
function hideBrokenThumbnails() {
  for (const picture of document.querySelectorAll(".thumb img")) {
    const hide = () => { picture.hidden = true; };
    if (picture.complete && !picture.naturalWidth) hide();
    else picture.addEventListener("error", hide, { once: true });
  }
}

// Says how much is ticked; without anything ticked no action can be chosen.
function countPicks(form) {
  const boxes = [...form.querySelectorAll("input[name=study]")], all = form.querySelector("[data-pick-all]");
  const check = () => {
    const ticked = boxes.filter((box) => box.checked);
    const instances = ticked.reduce((sum, box) => sum + Number(box.dataset.instances), 0);
    form.querySelector("[data-picked-studies]").textContent = ticked.length.toLocaleString(language);
    form.querySelector("[data-picked-instances]").textContent = instances.toLocaleString(language);
    for (const button of form.querySelectorAll("[data-for-picked]")) button.disabled = !ticked.length;
    form.querySelector(".bulk").classList.toggle("active", ticked.length > 0);
    all.checked = ticked.length === boxes.length;
    all.indeterminate = ticked.length > 0 && !all.checked;
  };
  all.hidden = false;
  all.addEventListener("change", () => { for (const box of boxes) box.checked = all.checked; check(); });
  form.addEventListener("change", check);
  addEventListener("pageshow", check); // a browser that goes back restores the ticks
  check();
}

// A button cannot be pressed while the part of the page that it needs says that nothing is chosen.
function checkNeeds() {
  for (const button of document.querySelectorAll("[data-needs]")) {
    button.disabled = "nothing" in (document.getElementById(button.dataset.needs)?.dataset ?? {});
  }
}

document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details.menu[open]");
  closeMenus(null);
  open?.querySelector("summary").focus();
});
// "/" leads to the search field, unless something is being typed.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  event.preventDefault();
  document.getElementById("find")?.focus();
});
document.addEventListener("htmx:afterSwap", (event) => {
  const root = event.detail.target.isConnected ? event.detail.target : document;
  showLocalTimes(root.parentElement ?? document);
  checkNeeds();
  if (document.querySelector("[data-announce=folder]") && event.detail.target.id === "folders") {
    document.body.dispatchEvent(new Event("folder"));
  }
});
// The list is not updated while a menu in it is open.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.querySelector?.("details.menu[open]") && event.detail.requestConfig.triggeringEvent === undefined) {
    event.preventDefault();
  }
});
// Errors of a part of the page are shown in its place.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status >= 400 && event.detail.xhr.status < 500) event.detail.shouldSwap = true;
});

document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
showLocalTimes(document);
requireConfirmations(document);
showChoices(document);
filterTransferSyntaxes();
fillPath();
readChosenFiles();
hideBrokenThumbnails();
for (const form of document.querySelectorAll("form[data-picks]")) countPicks(form);
checkNeeds();
