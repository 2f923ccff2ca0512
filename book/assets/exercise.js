// Exercises that are checked on the page: pairs of a condition and a sentence, as
// `skullnb.report.teach` gives them. The first pair is what is right.
"use strict";

const skullnbExercise = (() => {
  const near = (answer, value, off) =>
    Math.abs(answer - value) <= Math.max(1e-9 * Math.max(Math.abs(answer), Math.abs(value)), off);
  const within = (answer, [low, high], off) => low - off <= answer && answer <= high + off;
  const hasAll = (names, wanted) => wanted.every((one) => names.includes(one));
  // The verbs of `teach.When`, by the same names.
  const VERBS = {
    is: (answer, values, off) => values.some((one) => near(answer, one, off)),
    between: within,
    outside: (answer, ends, off) => !within(answer, ends, off),
    exactly: (answer, values) => answer.length === values.length && hasAll(answer, values),
    names: (answer, values) => values.some((one) => answer.includes(one)),
    always: () => true,
  };

  function judge(answer, pairs) {
    const place = pairs.findIndex(([verb, values, off]) => VERBS[verb](answer, values, off));
    return { right: place === 0, text: place < 0 ? "Look at the question again." : pairs[place][3] };
  }

  // A number as somebody may type it: 0.25, 1/4, 25%, or 1,234.
  function number(text) {
    const plain = text.trim().replace(/\s/g, "").replace(/,(?=\d{3}(\D|$))/g, "").replace(",", ".");
    const parts = /^([-+.\de]+)(?:\/([-+.\de]+))?(%?)$/i.exec(plain);
    if (!parts) return NaN;
    return Number(parts[1]) / Number(parts[2] || 1) / (parts[3] ? 100 : 1);
  }

  // Stars and backticks of a sentence, and nothing else of it, become markup.
  function show(place, opening, text) {
    const bold = document.createElement("strong");
    bold.textContent = opening;
    const parts = text.split(/(`[^`]+`|\*[^*]+\*)/).map((part) => {
      if (!/^[`*].+[`*]$/.test(part)) return part;
      const made = document.createElement(part[0] === "`" ? "code" : "em");
      made.textContent = part.slice(1, -1);
      return made;
    });
    place.replaceChildren(bold, " ", ...parts);
  }

  function makeExercise(form, index) {
    const { choices, pairs } = JSON.parse(form.dataset.exercise), said = document.createElement("p");
    const check = Object.assign(document.createElement("button"), { textContent: "Check" });
    said.setAttribute("role", "status");
    const label = (text, input) => {
      const made = document.createElement("label");
      made.append(...(choices.length ? [input, text] : [text, input]));
      return made;
    };
    const inputs = (choices.length ? choices : ["Your answer"]).map((text) => {
      const input = document.createElement("input");
      input.type = choices.length ? "checkbox" : "text";
      Object.assign(input, { name: `exercise-${index}`, value: choices.length ? text : "" });
      if (!choices.length) Object.assign(input, { inputMode: "decimal", autocomplete: "off" });
      return [input, label(text, input)];
    });
    form.replaceChildren(...inputs.map(([, made]) => made), check, said);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const answer = choices.length
        ? inputs.filter(([one]) => one.checked).map(([one]) => one.value)
        : number(inputs[0][0].value);
      if (Number.isNaN(answer)) return show(said, "Not yet.", "One number is asked for.");
      const { right, text } = judge(answer, pairs);
      form.classList.toggle("is-right", right);
      show(said, right ? "Right." : "Not yet.", text);
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("form.exercise").forEach(makeExercise);
  });
  return { judge, number };
})();
