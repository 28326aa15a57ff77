// The sandbox's treasurer in the browser: an empty shell until data comes, grids whose cells are filled a moment later.
"use strict";
const shell = document.getElementById("app");
const visit = shell.dataset.visit, apn = shell.dataset.apn;
const FILL_MS = 40;
const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function get(name) {
  const answer = await fetch(`api/${name}?Parcel=${apn}&visit=${visit}`);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer.json();
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function block(heading, lines) {
  if (lines === null) return [element("h3", "trs-fs-18", heading)];
  const text = element("div", "trs-text");
  lines.forEach((line, at) => text.append(...(at ? [document.createElement("br"), line] : [line])));
  return [element("h3", "trs-fs-18", heading), text];
}

function grid(data) {
  const head = element("tr", "k-table-row", ...data.columns.map((title) =>
    element("th", title ? "k-table-th k-header" : "k-hierarchy-cell k-table-th k-header", element("span", "k-column-title", title))));
  const header = element("div", "k-grid-header", element("table", "k-grid-header-table k-table", element("thead", "k-table-thead", head)));
  const body = element("tbody", "k-table-tbody");
  const made = element("div", "k-grid", header, element("div", data.is_virtual ? "k-grid-content k-virtual-content" : "k-grid-content", element("table", "k-grid-table k-table", body)));
  const fill = [];
  for (const row of data.rows) {
    const line = element("tr", "k-table-row k-master-row");
    line.append(element("td", "k-table-td k-hierarchy-cell", "+"));
    for (const value of row) {
      const cell = element("span", "trs-fs-16");
      fill.push(() => { cell.textContent = value; });
      line.append(element("td", "k-table-td", cell));
    }
    body.append(line);
  }
  if (data.none) {
    body.append(element("tr", "k-table-row k-grid-norecords", element("td", "k-table-td", element("span", "trs-fs-16", data.none))));
  }
  if (data.pager !== null) made.append(element("div", "k-pager", element("button", "k-link", "1"), element("button", "k-link", "2")));
  if (data.pager) made.lastElementChild.append(element("span", "k-pager-info", data.pager));
  setTimeout(() => fill.forEach((one) => one()), FILL_MS);
  return made;
}

// A grid whose elements stay: its headings change first, then its rows one after another, then there are more of them, or fewer.
function patch(old, data) {
  const fresh = grid(data), body = old.querySelector("tbody"), rows = [...fresh.querySelectorAll("tbody tr")];
  old.querySelector("thead").replaceChildren(...fresh.querySelector("thead").children);
  let at = 0;
  const next = () => {
    const row = rows[at];
    if (row === undefined) {
      while (body.children.length > rows.length) body.lastElementChild.remove();
      return;
    }
    if (at < body.children.length) body.children[at].replaceChildren(...row.children);
    else body.append(row);
    at += 1;
    setTimeout(next, 15);
  };
  setTimeout(next, FILL_MS);
}

function tabs(onClick) {
  const list = element("ul");
  list.id = "ptiNav";
  ["Tax Summary", "Payment History", "Tax Details", "Tax Stubs", "Districts", "Valuations"].forEach((title, at) => {
    const link = element("a", "nav-link", title);
    link.href = "javascript:void(0)";
    link.addEventListener("click", () => onClick(at));
    list.append(element("li", "nav-item", link));
  });
  return list;
}

function showAbsent(text) {
  const column = element("div", "col", text);
  column.id = "propertyOwnerSearchResultColumn";
  shell.replaceChildren(column);
}

// Data by frames of a socket: each is put into its place when it comes.
async function pushed(place) {
  const socket = new WebSocket(new URL(`_blazor?Parcel=${apn}&visit=${visit}`, location.href.replace(/^http/, "ws")));
  socket.addEventListener("message", (event) => place.replaceChildren(grid(JSON.parse(event.data).grid)));
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  return (name) => { socket.send(name); return null; };
}

async function main() {
  // Without its stylesheet the page shows nothing.
  if (!getComputedStyle(document.documentElement).getPropertyValue("--trs-ready")) return;
  const account = await get("account");
  if (account.absent) return showAbsent(account.absent);
  if (!account.blocks) return;
  if (account.search !== undefined) {
    showAbsent(account.search);
    if (!account.is_found) return;
    await after(account.late_ms);
  }
  const place = element("div", "container-fluid");
  const fetched = account.is_pushed ? await pushed(place) : async (name) => {
    const data = await get(name);
    if (!account.early || !data.rows.length) return data;
    // What a grid says until its rows have come.
    place.replaceChildren(grid({ ...data, rows: [], none: account.early }));
    setTimeout(() => place.replaceChildren(grid(data)), account.late_ms);
    return null;
  };
  const put = (data) => data && place.replaceChildren(grid(data));
  put((await Promise.all([fetched("bills"), get("notices")]))[0]);
  const open = async (at) => {
    // The old grid stays until the new one has come.
    if (at === 0) put(await fetched("bills"));
    if (at === 1 && account.patch) patch(place.firstElementChild, await get("payments"));
    else if (at === 1) put(await fetched("payments"));
  };
  const facts = element("div", "container", ...account.blocks.flatMap(([heading, lines]) => block(heading, lines)));
  shell.replaceChildren(tabs((at) => open(at).catch(failed)), element("div", "trs-parcel", facts, place));
}

function failed(error) {
  const notice = element("div", "", "An unhandled error has occurred.");
  notice.id = "blazor-error-ui";
  document.body.append(notice);
}

main().catch(failed);
