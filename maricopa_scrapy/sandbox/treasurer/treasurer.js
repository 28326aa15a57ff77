// The sandbox's treasurer in the browser: an empty shell until data comes, grids whose cells are filled a moment later.
"use strict";
const shell = document.getElementById("app");
const visit = shell.dataset.visit, apn = shell.dataset.apn;
const FILL_MS = 40, PORTION_MS = 250;
const BASE = new URL("./", location.href);
const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function get(name) {
  // From where the page was, whatever its address says now.
  const answer = await fetch(new URL(`api/${name}?Parcel=${apn}&visit=${visit}`, BASE));
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
  const header = data.has_headings === false ? "" :
    element("div", "k-grid-header", element("table", "k-grid-header-table k-table", element("thead", "k-table-thead", head)));
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

function tabs(titles, onClick) {
  const list = element("ul");
  list.id = "ptiNav";
  for (const [title, name] of titles) {
    const link = element("a", "nav-link", title);
    link.href = "javascript:void(0)";
    link.addEventListener("click", () => onClick(name));
    list.append(element("li", "nav-item", link));
  }
  return list;
}

// A grid of parcels in the search's view; resolves when the one that was asked for is opened.
function showResults(data) {
  const column = element("div", "col", grid(data));
  column.id = "propertyOwnerSearchResultColumn";
  shell.replaceChildren(column);
  return new Promise((resolve) => {
    setTimeout(() => column.querySelectorAll("tbody tr").forEach((row) => {
      const link = element("a", "", row.children[1].textContent);
      link.href = "javascript:void(0)";
      row.children[1].replaceChildren(link);
      link.addEventListener("click", () => link.textContent.replaceAll("-", "") === apn && resolve());
    }), 2 * FILL_MS);
  });
}

function showAbsent(text) {
  const column = element("div", "col", text);
  column.id = "propertyOwnerSearchResultColumn";
  shell.replaceChildren(column);
}

// Data by frames of a socket: each is put into its place when it comes.
async function pushed(place) {
  const socket = new WebSocket(new URL(`_blazor?Parcel=${apn}&visit=${visit}`, BASE.href.replace(/^http/, "ws")));
  socket.addEventListener("message", (event) => place.replaceChildren(grid(JSON.parse(event.data).grid)));
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  return (name) => { socket.send(name); return null; };
}

async function main() {
  // Without its stylesheet the page shows nothing.
  if (!getComputedStyle(document.documentElement).getPropertyValue("--trs-ready")) return;
  const account = await get("account");
  if (account.absent) return showAbsent(account.absent);
  if (account.results) await showResults(account.results);
  if (!account.blocks) return;
  if (account.is_nameless) history.replaceState(null, "", BASE);
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
  const put = async (name) => {
    const data = await fetched(name);
    if (!data) return;
    if (data.portions > 1 && data.rows.length > 1) {
      place.replaceChildren(grid({ ...data, rows: data.rows.slice(0, Math.ceil(data.rows.length / 2)) }));
      await after(PORTION_MS);
      await get(name);
    }
    place.replaceChildren(grid(data));
  };
  const first = put(account.opens);
  // What comes in portions is seen to come.
  await Promise.all([get("notices"), ...(account.portions > 1 ? [] : [first])]);
  first.catch(failed);
  const open = async (name) => {
    // The old grid stays until the new one has come.
    if (name === "payments" && account.patch) patch(place.firstElementChild, await get(name));
    else if (name) await put(name);
    else place.replaceChildren(element("p", "trs-text", "Nothing to show."));
  };
  const facts = element("div", "container", ...account.blocks.flatMap(([heading, lines]) => block(heading, lines)));
  const heading = account.heading ? [element("h1", "trs-title", account.heading)] : [];
  shell.replaceChildren(...heading, tabs(account.tabs, (name) => open(name).catch(failed)), element("div", "trs-parcel", facts, place));
}

function failed(error) {
  const notice = element("div", "", "An unhandled error has occurred.");
  notice.id = "blazor-error-ui";
  document.body.append(notice);
}

main().catch(failed);
