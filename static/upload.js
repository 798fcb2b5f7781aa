// The upload page: drop and preview a file, shrink it, send it with its progress, and show the answer or what
// went wrong in place, so that the chosen file is kept. The form works without this file too.
"use strict";

function uploadPage(form) {
  const uploadBody = document.body;
  const find = (id) => uploadBody.querySelector(`#${id}`); // Also while the answer is shown instead.
  const input = find("file");
  const drop = find("drop");
  const fault = find("fault");
  const button = find("send");
  const progress = find("progress");
  const title = document.title;
  const limit = Number(form.dataset.limitMb);
  let answerBody = null;
  let sending = null;
  let preview = null;

  // `code` is the server's, for the log and for whoever is asked for help.
  function showError(sentence, { code = "", kept = false } = {}) {
    find("fault-text").textContent = sentence;
    find("fault-kept").hidden = !kept;
    find("fault-code").textContent = code;
    find("fault-details").hidden = code === "";
    fault.hidden = sentence === "";
    document.title = sentence === "" ? title : title.replace(/^[^·]*/, "Not checked ");
    if (sentence !== "") fault.focus();
  }

  function clearError() {
    showError("");
  }

  function tooLarge(file) {
    if (file.size <= limit * 2 ** 20) return false;
    showError(`The file has ${Math.ceil(file.size / 2 ** 20)} MB; at most ${limit} MB are read.`);
    return true;
  }

  async function showPreview(file) {
    if (preview) URL.revokeObjectURL(preview);
    preview = null;
    find("preview").hidden = !file;
    find("arrow").toggleAttribute("hidden", Boolean(file));
    if (!file) return;
    const shown = pictureKind(new Uint8Array(await file.slice(0, 4).arrayBuffer())) !== null;
    const picture = find("preview-picture");
    picture.hidden = !shown;
    find("preview-note").hidden = shown;
    if (shown) {
      preview = URL.createObjectURL(file);
      picture.src = preview;
    }
  }

  function showChoice() {
    const file = input.files[0];
    showPreview(file && !tooLarge(file) ? file : null);
  }

  function chosen() {
    clearError();
    showStep("");
    showChoice();
  }

  // `step` is shown on the button and read out; "" when nothing is under way.
  function showStep(step) {
    const busy = step !== "";
    if (busy) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
    input.disabled = busy;
    find("send-text").textContent = step || "Check the X-ray";
    find("status").textContent = step || (input.files.length > 0 ? "A file is chosen." : "");
    find("sending").hidden = !busy;
    progress.removeAttribute("value");
    find("sent").textContent = "";
  }

  async function send(file) {
    const body = new FormData(form);
    clearError();
    showStep("Preparing the picture …");
    let picture = null;
    try {
      picture = await shrunk(file);
      body.set("file", picture, "picture");
    } catch {
      showStep("");
      showError("The file cannot be read any more. Choose it again.");
      return;
    }
    sending = new XMLHttpRequest();
    sending.open("POST", form.action);
    sending.setRequestHeader("Accept", "text/html");
    sending.responseType = "document";
    sending.upload.addEventListener("progress", (event) => showProgress(event, file, picture));
    sending.upload.addEventListener("load", () => showStep("Checking the X-ray …"));
    sending.addEventListener("load", () => showAnswer(sending.status, sending.response));
    sending.addEventListener("error", () => showError(lostConnection(), { kept: true }));
    sending.addEventListener("loadend", () => showStep(""));
    showStep("Sending the picture …");
    sending.send(body);
  }

  function showProgress({ loaded, total }, file, picture) {
    const megabytes = (bytes) => (bytes / 2 ** 20).toFixed(1);
    const smaller = picture === file ? "" : `, made smaller from ${megabytes(file.size)} MB`;
    progress.max = total;
    progress.value = loaded;
    find("sent").textContent = `${megabytes(loaded)} of ${megabytes(total)} MB${smaller}`;
  }

  function lostConnection() {
    return navigator.onLine ? "The connection broke before the answer came." : "You are offline.";
  }

  // `page` is null where something in between answered, or the server before the app.
  function showAnswer(status, page) {
    if (page && page.getElementById("verdict")) {
      answerBody = document.adoptNode(page.body);
      history.pushState({ answer: true, title: page.title }, "", form.action);
      turnTo(answerBody, page.title);
      document.dispatchEvent(new Event("answer"));
      return;
    }
    const text = (id) => (page && page.getElementById(id) ? page.getElementById(id).textContent.trim() : "");
    const token = page && page.querySelector("[name=csrf_token]");
    if (token) form.elements.csrf_token.value = token.value;
    showError(text("fault-text") || "The server did not answer as it should.", {
      code: text("fault-code") || String(status),
      // The file is not at fault: the same may work later.
      kept: status === 408 || status === 429 || status >= 500 || text("fault-code") === "csrf_failed",
    });
  }

  // The two pages stay as they are, the chosen file too, for the browser's Back and Forward.
  function turnTo(body, name) {
    document.body = body;
    document.title = name;
    window.scrollTo(0, 0);
    body.querySelector("main").focus();
  }

  window.addEventListener("popstate", (event) => {
    if (event.state && event.state.answer && answerBody) turnTo(answerBody, event.state.title);
    else if (document.body !== uploadBody) turnTo(uploadBody, title);
  });

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
    if (files.length === 0 || input.disabled) return;
    if (files.length > 1) {
      showError(`${files.length} files were dropped; send one X-ray at a time.`);
      return;
    }
    input.files = files;
    chosen();
    input.focus();
  });

  find("stop").addEventListener("click", () => {
    sending?.abort();
    button.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const file = input.files[0];
    if (file && !input.disabled && !tooLarge(file)) send(file);
  });
  // The page comes back anew with the file that was chosen; the server's error stays.
  window.addEventListener("pageshow", () => {
    showStep("");
    if (input.files.length > 0) showChoice();
  });

  if (!fault.hidden) fault.focus();
}

const form = document.querySelector("form.send");
if (form) uploadPage(form);
