"use strict";
// A link into a folded or filtered place opens it; figures become interactive when asked to.
(() => {
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    target.hidden = false;
    for (let place = target; place; place = place.parentElement) {
      if (place.tagName === "DETAILS") place.open = true;
    }
    target.scrollIntoView();
  };
  window.addEventListener("hashchange", reveal);
  if (location.hash) reveal();

  const data = document.getElementById("panel-data");
  if (!data || typeof Plotly === "undefined") return;
  const panels = JSON.parse(data.textContent);
  const dashes = ["solid", "dash", "dot", "dashdot", "2px,2px", "longdash", "longdashdot", "4px,1px"];
  const symbols = ["circle", "square", "triangle-up", "diamond", "cross", "x", "line-ns", "line-ew"];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const escaped = (text) =>
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const traces = (panel) =>
    panel.series.flatMap((series) => {
      // What was looked at in some layers only is joined from one of them to the next.
      const known = [...series.values.keys()].filter((i) => series.values[i] !== null);
      const x = known.map((i) => i + panel.first);
      const at = (values) => known.map((i) => values[i]);
      const line = colour(series.behind ? "--soft" : `--c${series.style % 8}`);
      const name = escaped(series.name.slice(0, 120));
      const curve = {
        x, y: at(series.values), name, type: "scatter", mode: "lines+markers",
        line: { color: line, dash: dashes[series.style % 8], width: series.behind ? 1 : 2 },
        marker: { symbol: symbols[series.style % 8], size: 5, color: line },
        hovertemplate: `%{y:.1%} at layer %{x}<extra>${name}, n = ${series.samples}</extra>`,
      };
      if (!series.low.length) return [curve];
      const band = {
        x: [...x, ...[...x].reverse()], y: [...at(series.high), ...at(series.low).reverse()],
        fill: "toself", fillcolor: line, opacity: 0.17, line: { width: 0 },
        hoverinfo: "skip", showlegend: false, type: "scatter", mode: "lines",
      };
      return [band, curve];
    });
  const layout = (panel) => ({
    autosize: true, height: 300, margin: { l: 50, r: 8, t: 8, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), size: 11 }, showlegend: false, hovermode: "x unified",
    hoverlabel: { bgcolor: colour("--raised"), font: { color: colour("--ink") } },
    xaxis: { title: { text: escaped(panel.x) }, gridcolor: colour("--line"), zeroline: false },
    yaxis: { tickformat: ".0%", gridcolor: colour("--line"), zerolinecolor: colour("--soft") },
  });
  const explore = (holder, panel) => {
    const plot = document.createElement("div");
    plot.className = "plot";
    holder.append(plot);
    Plotly.newPlot(plot, traces(panel), layout(panel), { responsive: true, displayModeBar: false });
  };
  for (const figure of document.querySelectorAll(".figure")) {
    const holders = [...figure.querySelectorAll("[data-panel]")];
    const button = document.createElement("button");
    button.type = "button";
    button.className = "explore";
    button.textContent = "Explore: values under the pointer, zoom";
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const isPlotted = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!isPlotted));
      for (const holder of holders) {
        holder.firstElementChild.toggleAttribute("hidden", !isPlotted);
        if (isPlotted) holder.lastElementChild.remove();
        else explore(holder, panels[Number(holder.dataset.panel)]);
      }
    });
    figure.querySelector(".panels").before(button);
  }
})();
