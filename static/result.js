// The result page: strength of the map, mark of its highest point, local time, printing. The page is whole
// without this file.
"use strict";

function mapControls(strength) {
  const map = document.getElementById("map");
  const value = document.getElementById("strength-value");
  const apply = () => {
    map.style.opacity = String(strength.value / 100);
    value.textContent = `${strength.value} %`;
    strength.setAttribute("aria-valuetext", value.textContent);
  };
  strength.addEventListener("input", apply);
  apply();
  const show = document.getElementById("show-peak");
  if (show) {
    show.addEventListener("change", () => {
      document.getElementById("peak").toggleAttribute("hidden", !show.checked);
    });
  }
}

function localTime(answered) {
  const date = new Date(answered.dateTime);
  const two = (number) => String(number).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const local = `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
  document.getElementById("local-time").textContent = `${local} ${zone}`;
}

// Shown at once, or put into the upload page once the answer is there ("answer", static/upload.js).
for (const moment of ["DOMContentLoaded", "answer"]) {
  document.addEventListener(moment, () => {
    const strength = document.getElementById("strength");
    if (strength) mapControls(strength);
    const answered = document.getElementById("answered");
    if (answered) localTime(answered);
    const print = document.getElementById("print");
    if (print) print.addEventListener("click", () => window.print());
  });
}
