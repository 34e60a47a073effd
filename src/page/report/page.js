// Sorting and filtering of tables, curves picked out by their legend, maps of the sky from
// near. The page says all it has to say without it.
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

// A curve's name picks it out.
for (const list of document.querySelectorAll("ul.legend")) {
  const chart = list.previousElementSibling;
  for (const item of list.children) {
    const line = chart.querySelector(`g[data-line="${item.dataset.line}"]`);
    const mark = (on) => {
      chart.classList.toggle("dims", on);
      line.classList.toggle("shown", on);
    };
    item.addEventListener("pointerenter", () => mark(true));
    item.addEventListener("pointerleave", () => mark(false));
  }
}
// Maps of the sky: nearer and farther, dragged, and where the pointer is.
for (const map of document.querySelectorAll("svg.sky")) {
  const [left, top, wide, high] = map.getAttribute("viewBox").split(" ").map(Number);
  const view = { x: left, y: top, w: wide };
  const within = (value, low, room) => Math.min(Math.max(value, low), low + room);
  const show = () => {
    view.x = within(view.x, left, wide - view.w);
    view.y = within(view.y, top, (high * (wide - view.w)) / wide);
    map.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${(view.w * high) / wide}`);
    map.style.setProperty("--zoom", wide / view.w);
    // A finger that passes over a whole map scrolls the page.
    map.style.touchAction = view.w < wide ? "none" : "pan-x pan-y";
    map.style.cursor = view.w < wide ? "grab" : "";
  };
  const middle = () => ({ x: view.x + view.w / 2, y: view.y + (view.w * high) / wide / 2 });
  const zoom = (times, about) => {
    const w = within(view.w / times, wide / 64, wide - wide / 64);
    view.x = about.x - ((about.x - view.x) * w) / view.w;
    view.y = about.y - ((about.y - view.y) * w) / view.w;
    view.w = w;
    show();
  };
  const at = (event) =>
    new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
  const bar = document.createElement("div");
  bar.className = "zoom";
  const told = document.createElement("output");
  for (const [name, what, act] of [
    ["+", "nearer", () => zoom(2, middle())],
    ["−", "farther", () => zoom(0.5, middle())],
    ["all", "the whole map", () => zoom(1e-9, middle())],
  ]) {
    const button = document.createElement("button");
    [button.type, button.textContent, button.title] = ["button", name, what];
    button.addEventListener("click", act);
    bar.append(button);
  }
  bar.append(told);
  map.before(bar);
  const [kind, ...numbers] = map.dataset.sky.split(" ");
  const n = numbers.map(Number);
  // Right ascension and declination of a point of the drawing, if it is on the sky.
  const position = ({ x, y }) => {
    if (kind === "plate") {
      const [across, up] = [(x - n[0]) / (n[1] - n[0]), (y - n[2]) / (n[3] - n[2])];
      if (across < 0 || across > 1 || up < 0 || up > 1) return null;
      return [n[4] + across * (n[5] - n[4]), n[6] + up * (n[7] - n[6])];
    }
    const [u, v] = [((x - n[0]) / n[1]) * 4 - 2, 1 - ((y - n[0]) / n[1]) * 4];
    const theta = Math.asin(v);
    const longitude = (90 * u) / Math.cos(theta);
    if (!(Math.abs(longitude) <= 180)) return null;
    const sine = (2 * theta + Math.sin(2 * theta)) / Math.PI;
    return [n[2] - longitude, (Math.asin(sine) * 180) / Math.PI];
  };
  let held = null;
  map.addEventListener("pointerdown", (event) => {
    if (view.w < wide) {
      held = at(event);
      map.setPointerCapture(event.pointerId);
    }
  });
  map.addEventListener("pointermove", (event) => {
    const here = at(event);
    if (held) {
      view.x += held.x - here.x;
      view.y += held.y - here.y;
      show();
      return;
    }
    const found = position(here);
    const digits = view.w < wide / 4 ? 3 : 1;
    const shown = (value) => value.toFixed(digits);
    told.textContent = found
      ? `RA ${shown(((found[0] % 360) + 360) % 360)}°, Dec ${found[1] < 0 ? "−" : "+"}${shown(Math.abs(found[1]))}°`
      : "";
  });
  for (const end of ["pointerup", "pointercancel"]) map.addEventListener(end, () => (held = null));
  map.addEventListener("dblclick", (event) => zoom(2, at(event)));
  map.addEventListener(
    "wheel",
    (event) => {
      // Alone the wheel scrolls the page.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.25 : 0.8, at(event));
    },
    { passive: false },
  );
}
