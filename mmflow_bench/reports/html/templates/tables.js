"use strict";
// Sorting and filtering. Without this script every table is complete, only in its own order.
(() => {
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.order ?? cell.textContent.trim();
    const number = Number(text);
    return text !== "" && !Number.isNaN(number) ? number : text;
  };
  const compare = (one, other) => {
    // What is empty comes last, whichever way it is sorted.
    if (one === "" || other === "") return one === other ? 0 : one === "" ? 1 : -1;
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), "en", { numeric: true });
  };
  // What is said of a group stands in the first of its rows that follow each other.
  const group = (table) => {
    let before;
    for (const row of table.querySelectorAll("[data-group]:not([hidden])")) {
      row.classList.toggle("again", row.dataset.group === before);
      before = row.dataset.group;
    }
  };
  const sortBy = (table, column, descending) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, place) => ({ row, place, value: key(row, column) }));
    const sign = descending ? -1 : 1;
    rows.sort((a, b) => {
      const order = compare(a.value, b.value);
      const isEmpty = a.value === "" || b.value === "";
      return (isEmpty ? order : sign * order) || a.place - b.place;
    });
    body.append(...rows.map(({ row }) => row));
    group(table);
  };
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sortBy(table, column, descending);
      });
    });
  }
  for (const tools of document.querySelectorAll("[data-tools-for]")) {
    const target = document.getElementById(tools.dataset.toolsFor);
    const items = target.tBodies ? [...target.tBodies[0].rows] : [...target.children];
    const count = tools.querySelector("[data-count]");
    const filters = [...tools.querySelectorAll("[data-filter]")];
    for (const select of filters) {
      if (select.tagName !== "SELECT" || select.options.length > 1) continue;
      const values = new Set(items.map((item) => item.dataset[select.dataset.filter]));
      values.delete(undefined);
      select.append(...[...values].map((value) => new Option(value, value)));
    }
    const texts = new Map(items.map((item) => [item, item.textContent.toLowerCase()]));
    const passes = (item, filter) => {
      const wanted = filter.type === "checkbox" ? (filter.checked ? "yes" : "") : filter.value;
      if (!wanted) return true;
      const name = filter.dataset.filter;
      if (name === "text") return texts.get(item).includes(wanted.toLowerCase());
      return (item.dataset[name] ?? "").split("|").includes(wanted);
    };
    const apply = () => {
      let shown = 0;
      for (const item of items) {
        const isShown = filters.every((filter) => passes(item, filter));
        item.hidden = !isShown;
        shown += isShown ? 1 : 0;
      }
      group(target);
      if (count) count.textContent = `${shown} of ${items.length}`;
    };
    for (const filter of filters) filter.addEventListener("input", apply);
    tools.hidden = false;
    apply();
  }
})();
