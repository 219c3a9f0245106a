"use strict";
// Two columns of the table and their difference. Without this script all columns are shown.
(() => {
  const one = document.getElementById("one");
  const other = document.getElementById("other");
  const table = document.getElementById("pairs");
  if (one.options.length < 2) return;
  const slugs = [...one.options].map((option) => option.dataset.slug);
  const shownDifference = (mine, theirs) => {
    if (mine.dataset.order === "" || theirs.dataset.order === "") return "";
    const value = Number(theirs.dataset.order) - Number(mine.dataset.order);
    const isPercent = mine.dataset.unit !== "";
    const [scale, digits, unit] = isPercent ? [100, 1, " pp"] : [1, 2, ""];
    const rounded = Number((scale * value).toFixed(digits)) + 0;
    return `${rounded > 0 ? "+" : ""}${rounded.toFixed(digits)}${unit}`;
  };
  const show = () => {
    const chosen = [one.value, other.value];
    for (const cell of document.querySelectorAll("[data-column]")) {
      cell.hidden = !chosen.includes(cell.dataset.column);
    }
    for (const cell of table.querySelectorAll("[data-difference]")) cell.hidden = false;
    for (const row of table.tBodies[0].rows) {
      const [mine, theirs] = chosen.map((n) => row.querySelector(`[data-column="${n}"]`));
      row.dataset.differs = mine.dataset.verdict === theirs.dataset.verdict ? "no" : "yes";
      const cell = row.querySelector("[data-difference]");
      cell.textContent = shownDifference(mine, theirs);
      cell.dataset.order = cell.textContent === "" ? "" : theirs.dataset.order - mine.dataset.order;
    }
    const conditions = [one, other].map((choice) => choice.selectedOptions[0].dataset.conditions);
    document.getElementById("unlike").hidden = conditions[0] === conditions[1];
    table.closest("main").querySelector("[data-filter=differs]").dispatchEvent(new Event("input"));
  };
  const [first, second] = location.hash.slice(1).split("~");
  const place = Math.max(0, slugs.indexOf(first));
  one.value = String(place);
  const wanted = slugs.indexOf(second);
  other.value = String(wanted >= 0 ? wanted : place === 0 ? 1 : 0);
  document.getElementById("choice").hidden = false;
  one.addEventListener("input", show);
  other.addEventListener("input", show);
  show();
})();
