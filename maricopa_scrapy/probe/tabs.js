// Clicks the tab of a number; returns its text, or null where there is none. Tabs stay on the page: those of the manifest, else by
// their role, else the longest list of links that lead nowhere else. What pays or signs in is none.
([selector, at]) => {
  const text = (element) => element.textContent.replace(/\s+/g, " ").trim();
  const stays = (element) => /^(#.*|javascript:.*)?$/i.test(element.getAttribute("href") || "");
  const isTab = (element) => stays(element) && text(element) && text(element).length < 60 && !/\bpay\b|cart|log ?in|sign/i.test(text(element));
  const all = (wanted, within) => {
    try {
      return [...(within || document).querySelectorAll(wanted)].filter(isTab);
    } catch {
      return [];
    }
  };
  const lists = [...document.querySelectorAll("ul, ol, nav")].map((list) => all("a", list)).sort((a, b) => b.length - a.length);
  const found = [all(selector), all("[role=tab]"), ...lists].find((tabs) => tabs.length > 1) || [];
  if (!found[at]) return null;
  found[at].click();
  return text(found[at]);
}
