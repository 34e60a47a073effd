// Sorting and filtering of tables. The page says all it has to say without it.
"use strict";
for (const table of document.querySelectorAll("table.rows, table.sorts")) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    head.classList.add("sorts");
    head.tabIndex = 0;
    const sort = () => {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const numbers = head.classList.contains("number");
      const key = (row) => row.cells[column].textContent.trim();
      const value = (row) => (numbers ? parseFloat(key(row).replace(/,/g, "")) : key(row));
      const rows = Array.from(body.rows);
      rows.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        // What has no value comes last in either direction.
        const [noX, noY] = [x === "" || x !== x, y === "" || y !== y];
        if (noX || noY) return noX - noY;
        const order = numbers ? x - y : x.localeCompare(y);
        return rising ? order : -order;
      });
      body.append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        sort();
      }
    });
  });
  if (!table.classList.contains("rows")) continue;
  const filter = document.createElement("input");
  filter.className = "filter";
  filter.type = "search";
  filter.placeholder = "Only rows that contain …";
  filter.setAttribute("aria-label", filter.placeholder);
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    for (const row of body.rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  });
  table.parentElement.before(filter);
  // A picture leads to its row, whatever is hidden.
  addEventListener("hashchange", () => {
    const row = document.getElementById(location.hash.slice(1));
    if (row && row.hidden) {
      filter.value = "";
      filter.dispatchEvent(new Event("input"));
      row.scrollIntoView();
    }
  });
}
