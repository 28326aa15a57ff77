// Resolves when a tab of the page is filled: "filled", or "absent" when the page says that there is no such parcel.
// `required`: headings of which the grid must have one each; `known`: all headings whose cells must have text;
// `stale`: the text of the grid that was there before, whose rows do not count.
([layout, required, known, stale, quiet]) => new Promise((resolve) => {
  const text = (element) => element.textContent.replace(/\s+/g, " ").trim();
  const fits = (headings) => required.every((names) => names.some((name) => headings.includes(name)));
  const read = () => {
    for (const grid of document.querySelectorAll(layout.grid)) {
      const headings = [...grid.querySelectorAll("thead tr:first-child th")].map((heading) => text(heading).toLowerCase());
      const body = grid.querySelector("tbody");
      if (!body || !fits(headings) || text(body) === stale) continue;
      const rows = [...body.children];
      const full = rows.length && rows.every((row) => {
        const cells = [...row.children];
        if (cells.length === 1) return text(row) !== "";
        return cells.length === headings.length && cells.every((cell, at) => !known.includes(headings[at]) || text(cell) !== "");
      });
      if (full) return "filled" + text(grid);
    }
    if (document.querySelector(layout.absent) && !document.querySelector(layout.parcel)) return "absent";
    return null;
  };
  let timer = null, last = null;
  const look = () => {
    const state = read();
    if (state === last && timer !== null) return;
    clearTimeout(timer);
    timer = null;
    last = state;
    if (state === null) return;
    // All of its rows are there when nothing is added for a while.
    timer = setTimeout(() => {
      observer.disconnect();
      resolve(state.startsWith("filled") ? "filled" : state);
    }, quiet * 1000);
  };
  const observer = new MutationObserver(look);
  observer.observe(document, { subtree: true, childList: true, characterData: true });
  look();
})
