// Resolves when a tab of the page is filled: "filled", or "absent" when the page says that there is no such parcel.
// `required`: headings of which the grid must have one each; `known`: all headings whose cells must have text;
// `none`: what a grid without rows may say; `stale`: the text of the grid that was there before, whose rows do not count.
// `quiet`: seconds without a change in a grid with rows; `patience`: in one that says that it has none.
([layout, required, known, none, stale, quiet, patience]) => new Promise((resolve) => {
  const text = (element) => element.textContent.replace(/\s+/g, " ").trim();
  const fits = (headings) => required.every((names) => names.some((name) => headings.includes(name)));
  const read = () => {
    for (const grid of document.querySelectorAll(layout.grid)) {
      const headings = [...grid.querySelectorAll("thead tr:first-child th")].map((heading) => text(heading).toLowerCase());
      const body = grid.querySelector("tbody");
      if (!body || !fits(headings)) continue;
      const rows = [...body.children];
      // Two tabs may say the same of having no rows: it is the new one's when it stays.
      if (rows.length === 1 && none.includes(text(body).toLowerCase())) return ["filled", text(grid), patience];
      if (text(body) === stale) continue;
      const full = rows.length && rows.every((row) => {
        const cells = [...row.children];
        return cells.length === headings.length && cells.every((cell, at) => !known.includes(headings[at]) || text(cell) !== "");
      });
      if (full) return ["filled", text(grid), quiet];
    }
    const search = document.querySelector(layout.absent);
    const isTold = search && !document.querySelector(layout.parcel) && layout.absentTexts.includes(text(search).toLowerCase());
    return isTold ? ["absent", "", patience] : null;
  };
  let timer = null, last = null;
  const look = () => {
    const state = read();
    const seen = state && state.slice(0, 2).join(" ");
    if (seen === last && timer !== null) return;
    clearTimeout(timer);
    timer = null;
    last = seen;
    if (state === null) return;
    // All of its rows are there when nothing is added for a while.
    timer = setTimeout(() => {
      observer.disconnect();
      resolve(state[0]);
    }, state[2] * 1000);
  };
  const observer = new MutationObserver(look);
  observer.observe(document, { subtree: true, childList: true, characterData: true });
  look();
})
