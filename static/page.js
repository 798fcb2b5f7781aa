// What every page has: the mark that scripts run, for what only works with one.
"use strict";

document.documentElement.classList.add("scripted");
