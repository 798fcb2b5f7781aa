// The result page: strength of the map, mark of its highest point. The page is whole without this file.
"use strict";

function resultPage(strength) {
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

// Shown at once, or put into the upload page once the answer is there ("answer", static/upload.js).
for (const moment of ["DOMContentLoaded", "answer"]) {
  document.addEventListener(moment, () => {
    const strength = document.getElementById("strength");
    if (strength) resultPage(strength);
  });
}
