// The upload page: drop and preview a file, check its size, show that it is being read. The form works
// without this file too.
"use strict";

function uploadPage(form) {
  const find = (id) => document.getElementById(id);
  const input = find("file");
  const drop = find("drop");
  const fault = find("fault");
  const button = find("send");
  const limit = Number(form.dataset.limitMb);
  let preview = null;

  function showError(sentence) {
    find("fault-text").textContent = sentence;
    const code = fault.querySelector(".code");
    if (code) code.remove();
    fault.hidden = sentence === "";
  }

  function tooLarge(file) {
    if (file.size <= limit * 1024 * 1024) return false;
    showError(`The file has ${Math.ceil(file.size / 1048576)} MB; at most ${limit} MB are read.`);
    return true;
  }

  async function showPreview(file) {
    if (preview) URL.revokeObjectURL(preview);
    preview = null;
    find("preview").hidden = !file;
    find("arrow").toggleAttribute("hidden", Boolean(file));
    if (!file) return;
    const start = new Uint8Array(await file.slice(0, 4).arrayBuffer());
    // By content, as the server detects formats: a name proves little.
    const png = start[0] === 0x89 && start[1] === 0x50;
    const jpeg = start[0] === 0xff && start[1] === 0xd8;
    const picture = find("preview-picture");
    picture.hidden = !(png || jpeg);
    find("preview-note").hidden = png || jpeg;
    if (png || jpeg) {
      preview = URL.createObjectURL(file);
      picture.src = preview;
    }
  }

  function showChoice() {
    const file = input.files[0];
    find("status").textContent = file ? "A file is chosen." : "";
    showPreview(file && !tooLarge(file) ? file : null);
  }

  function chosen() {
    showError("");
    showChoice();
  }

  function busy(on) {
    if (on) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
    find("send-text").textContent = on ? "Reading the radiograph …" : "Read the radiograph";
    find("status").textContent = on ? "The radiograph is being read." : "";
  }

  input.addEventListener("change", chosen);
  find("preview-picture").addEventListener("error", () => {
    find("preview-picture").hidden = true;
    find("preview-note").hidden = false;
  });

  let inside = 0;
  const carriesFile = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  drop.addEventListener("dragenter", (event) => {
    if (!carriesFile(event)) return;
    inside += 1;
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => {
    inside = Math.max(0, inside - 1);
    if (inside === 0) drop.classList.remove("over");
  });
  // A file dropped beside the field must not replace the page.
  for (const kind of ["dragover", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (carriesFile(event)) event.preventDefault();
    });
  }
  drop.addEventListener("drop", (event) => {
    inside = 0;
    drop.classList.remove("over");
    const files = event.dataTransfer.files;
    if (files.length === 0) return;
    if (files.length > 1) {
      showError(`${files.length} files were dropped; send one radiograph at a time.`);
      return;
    }
    input.files = files;
    chosen();
    input.focus();
  });

  form.addEventListener("submit", (event) => {
    if (button.getAttribute("aria-disabled") === "true" || (input.files[0] && tooLarge(input.files[0]))) {
      event.preventDefault();
      return;
    }
    busy(true);
  });
  // The page comes back as it was left, busy, or anew with the file that was chosen; the server's
  // error stays.
  window.addEventListener("pageshow", () => {
    busy(false);
    if (input.files.length > 0) showChoice();
  });

  if (!fault.hidden) fault.focus();
}

const form = document.querySelector("form.send");
if (form) uploadPage(form);
