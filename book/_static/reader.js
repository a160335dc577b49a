// A box that scrolls sideways (a wide table or formula) can be reached and moved by the keyboard.
function letWideBoxesBeReached() {
  for (const box of document.querySelectorAll(".bd-article table, .bd-article .math, .bd-article pre, .cell_output .output, .cell_output, .bd-article figure")) {
    if (box.scrollWidth > box.clientWidth + 1) {
      box.tabIndex = 0;
    } else if (box.tabIndex === 0) {
      box.removeAttribute("tabindex");
    }
  }
}
window.addEventListener("load", letWideBoxesBeReached);
window.addEventListener("resize", letWideBoxesBeReached);

// A table of class "sortable" is sorted by the column whose head is pressed, and the other way round if it is pressed again.
function letTablesBeSorted() {
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        const key = (row) => row.cells[column].textContent.trim();
        const rows = [...body.rows].sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }));
        body.append(...(order === "ascending" ? rows : rows.reverse()));
      });
    });
  }
}
letTablesBeSorted();
