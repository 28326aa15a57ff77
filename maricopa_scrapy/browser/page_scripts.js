// Resolves when a tab of the page is filled: "filled"; "absent" when the page says that there is no such parcel; "found" when it lists the
// parcel among others that the search found.
// `page`: selectors of the manifest, and the parcel's number as `key`; `columns`: of the tab, their `names`, `position`, `kind`, and whether
// they are `optional`, null before the tab has been opened: then its link (`tab`: selector, place, texts) is enough.
// `none`: what a grid without rows may say; `stale`: the text of the grid that was there before, whose rows do not count.
// `quiet`: seconds without a change in a grid with rows; `patience`: in one that says that it has none.
([page, columns, tab, none, stale, quiet, patience]) => new Promise((resolve) => {
  const NUMBER = /(?<![\w-])\d{3}-?\d{2}-?\d{3}[A-Za-z]?(?:-\d)?(?![\w-])/g;
  const KINDS = {
    year: /^\d{4}$/, money: /^\$[\d,]+\.\d{2}$/, signed_money: /^[-(]?\$[\d,]+\.\d{2}\)?$/, date: /^\d{1,2}\/\d{1,2}\/\d{4}$/,
    status: /\S/, text: /\S/,
  };
  const text = (element) => element.textContent.replace(/\s+/g, " ").trim();
  // Words of neighbouring cells are apart, as the parser has them.
  const apart = (element) => [...element.querySelectorAll("td, th")].map(text).join(" ") || text(element);
  const numbers = (element) =>
    (apart(element).match(NUMBER) || []).map((one) => one.replace(/-\d$/, "").replaceAll("-", "").toUpperCase());
  const within = (outer, one) => outer !== null && outer.contains(one);
  const isNamed = (headings) => headings.some((heading) => heading !== "");
  // Where each column stands in a grid of these headings; null where one is missing.
  const places = (headings) => {
    const found = new Map();
    for (const column of columns) {
      let at = headings.findIndex((heading) => heading !== "" && column.names.includes(heading));
      const isBlank = !isNamed(headings) || headings[column.position] === "";
      if (at < 0 && column.position !== null && isBlank) at = column.position;
      if (at >= 0) found.set(at, column.kind);
      else if (!column.optional) return null;
    }
    return found;
  };
  const readGrids = (search) => {
    for (const grid of document.querySelectorAll(page.grid)) {
      if (within(search, grid)) continue;
      const headings = [...grid.querySelectorAll("thead tr:first-child th")].map((heading) => text(heading).toLowerCase());
      const body = grid.querySelector("tbody");
      const known = body && places(headings);
      if (!known) continue;
      const rows = [...body.children];
      // Two tabs may say the same of having no rows: it is the new one's when it stays.
      if (rows.length === 1 && none.includes(text(body).toLowerCase())) return ["filled", text(grid), patience];
      if (text(body) === stale) continue;
      // Without headings only what the cells hold tells one tab's grid from another's.
      const width = isNamed(headings) ? headings.length : rows.length && rows[0].children.length;
      const isFilled = ([at, kind], cells) => at < width && (isNamed(headings) ? text(cells[at]) !== "" : KINDS[kind].test(text(cells[at])));
      const full = rows.length && rows.every((row) => {
        const cells = [...row.children];
        return cells.length === width && [...known].every((one) => isFilled(one, cells));
      });
      if (full) return ["filled", text(grid), quiet];
    }
    return null;
  };
  const readSearch = (search) => {
    const rows = page.rows ? [...document.querySelectorAll(page.rows)].map(numbers) : [];
    if (rows.length && rows.every((found) => found.length)) {
      return [rows.some((found) => found.includes(page.key)) ? "found" : "absent", rows.join(" "), patience];
    }
    const isParcel = [...document.querySelectorAll(page.parcel)].some((one) => !within(search, one));
    const isTold = search && !isParcel && (page.absentAlone || page.absentTexts.includes(text(search).toLowerCase()));
    return isTold ? ["absent", text(search), patience] : null;
  };
  const isOpenable = () => {
    const links = [...document.querySelectorAll(tab[0])];
    return tab[2] ? links.some((link) => tab[2].includes(text(link).toLowerCase())) : links.length > tab[1];
  };
  const read = () => {
    const search = page.absent ? document.querySelector(page.absent) : null;
    const filled = columns ? readGrids(search) : isOpenable() ? ["filled", "", quiet] : null;
    return filled || readSearch(search);
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
