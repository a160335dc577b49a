// Draws each <div class="vega-chart"> from the Vega-Lite specification in the JSON script inside it, and repeats the words of
// its layer "says" for screen readers when a control changes them.
document.addEventListener("DOMContentLoaded", () => {
  for (const chart of document.querySelectorAll(".vega-chart")) {
    const specification = JSON.parse(chart.querySelector('script[type="application/json"]').textContent);
    const target = document.createElement("div");
    target.className = "vega-chart-drawing";
    chart.append(target);
    const status = document.createElement("p");
    status.className = "vega-chart-status";
    status.setAttribute("role", "status");
    chart.append(status);
    vegaEmbed(target, specification, { actions: false, renderer: "svg" }).then(() => {
      target.addEventListener("change", () => requestAnimationFrame(() => {
        status.textContent = [...target.querySelectorAll(".says_marks tspan")].map((line) => line.textContent).join(" ");
      }));
    });
  }
});
