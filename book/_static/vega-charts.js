// Draws each <div class="vega-chart"> from the Vega-Lite specification in the JSON script inside it.
document.addEventListener("DOMContentLoaded", () => {
  for (const chart of document.querySelectorAll(".vega-chart")) {
    const specification = JSON.parse(chart.querySelector('script[type="application/json"]').textContent);
    const target = document.createElement("div");
    target.className = "vega-chart-drawing";
    chart.append(target);
    vegaEmbed(target, specification, { actions: false, renderer: "svg" });
  }
});
