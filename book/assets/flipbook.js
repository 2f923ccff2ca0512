// Turns every <figure class="flipbook"> into pictures to leaf through with a slider.
// Without this script the figure shows the one frame that is not hidden.
"use strict";

function makeFlipbook(figure) {
  const frames = Array.from(figure.querySelectorAll("img[data-label]"));
  const caption = figure.querySelector("figcaption");
  if (frames.length < 2 || !caption || figure.querySelector("input")) return;

  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = "0";
  slider.max = String(frames.length - 1);
  slider.step = "1";
  slider.value = String(Math.max(0, frames.findIndex((frame) => !frame.hidden)));
  slider.setAttribute("aria-label", figure.dataset.name || "Frame");

  const label = document.createElement("output");
  label.setAttribute("aria-live", "polite");

  function show() {
    const chosen = Number(slider.value);
    frames.forEach((frame, index) => {
      frame.hidden = index !== chosen;
      frame.style.display = index === chosen ? "" : "none";
    });
    label.textContent = frames[chosen].dataset.label;
    slider.setAttribute("aria-valuetext", frames[chosen].dataset.label);
  }

  slider.addEventListener("input", show);
  caption.replaceChildren(label);
  figure.insertBefore(slider, caption);
  show();
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("figure.flipbook").forEach(makeFlipbook);
});
