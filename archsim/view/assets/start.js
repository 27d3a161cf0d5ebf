(async () => {
  const [data, plotly] = await Promise.all([unpack("data"), unpack("plotly")]);
  document.head.append(node("script", { textContent: plotly }));
  const page = JSON.parse(data);
  heading(page);
  (page.kind === "sweep" ? sweepPage : runPage)(page);
  document.body.dataset.ready = "yes";
})();
