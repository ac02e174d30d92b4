// Tables sort and filter, terms say what they mean, commands are copied. Without it all is shown, as the report orders it.
"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
document.documentElement.classList.add("js");

for (const table of all("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => row.cells[column].dataset.value ?? "";
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const rows = [...table.tBodies[0].rows];
    const words = rows.some((row) => isNaN(value(row, column)));
    const now = head.getAttribute("aria-sort");
    const down = now ? now === "ascending" : !words;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    rows.sort((first, second) => {
      const [a, b] = [value(first, column), value(second, column)];
      if (a === "" || b === "") return (a === "") - (b === ""); // what was not measured comes last, either way
      return (down ? -1 : 1) * (words ? a.localeCompare(b) : a - b);
    });
    table.tBodies[0].append(...rows);
  }));
}

for (const controls of all(".filters")) {
  const rows = all("tbody tr", document.getElementById(controls.dataset.of));
  const count = (some) => some.reduce((sum, row) => sum + Number(row.dataset.concepts), 0); // a row may be of two
  const [search, told] = [controls.querySelector("input"), controls.querySelector("output")];
  let kind = "";
  const show = () => {
    const words = search.value.toLowerCase();
    const fits = (row) => (!kind || kind.split("|").includes(row.dataset.kind)) && row.textContent.toLowerCase().includes(words);
    rows.forEach((row) => { row.hidden = !fits(row); });
    told.value = `${count(rows.filter((row) => !row.hidden))} of ${count(rows)} concepts`;
    all("button", controls).forEach((one) => one.setAttribute("aria-pressed", one.dataset.kind === kind));
  };
  const chosen = all("[data-choose]");
  all("button", controls).concat(chosen).forEach((one) => one.addEventListener("click", () => {
    kind = one.dataset.choose ?? one.dataset.kind;
    show();
  }));
  search.addEventListener("input", show);
  show();
}

const tip = Object.assign(document.createElement("div"), { id: "tip", className: "tip", role: "tooltip", hidden: true });
document.body.append(tip);
const close = () => { tip.hidden = true; };
const define = (term) => {
  tip.textContent = document.querySelector(`${term.hash} dd`).textContent;
  tip.hidden = false;
  const box = term.getBoundingClientRect();
  const most = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(8, Math.min(box.left, most))}px`;
  tip.style.top = `${box.bottom + scrollY + 6}px`;
};
for (const term of all("a.term")) {
  term.setAttribute("aria-describedby", "tip");
  for (const event of ["mouseenter", "focus"]) term.addEventListener(event, () => define(term));
  for (const event of ["mouseleave", "blur"]) term.addEventListener(event, close);
  term.addEventListener("click", (event) => { event.preventDefault(); define(term); });
}
addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });

for (const text of all("pre")) {
  const button = Object.assign(document.createElement("button"), { className: "copy", textContent: "Copy" });
  button.addEventListener("click", () => {
    getSelection().selectAllChildren(text);
    button.textContent = document.execCommand("copy") ? "Copied" : "Select and copy";
  });
  text.before(button);
}
addEventListener("beforeprint", () => all("details:not(.long)").forEach((one) => { one.open = true; }));
