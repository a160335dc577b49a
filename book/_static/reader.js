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
