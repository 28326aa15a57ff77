// Frames what each selector finds, and writes its name beside the first of it.
(marks) => {
  for (const [name, selector] of marks) {
    let found = [];
    try {
      found = [...document.querySelectorAll(selector)].slice(0, 20);
    } catch {
      continue;
    }
    for (const element of found) element.style.outline = "2px solid #c00";
    if (!found.length) continue;
    const box = found[0].getBoundingClientRect();
    const label = document.createElement("span");
    label.textContent = name;
    label.style.cssText = "position:absolute;background:#c00;color:#fff;font:11px sans-serif;padding:0 3px;z-index:9";
    label.style.left = `${box.left + scrollX}px`;
    label.style.top = `${Math.max(0, box.top + scrollY - 14)}px`;
    document.body.append(label);
  }
}
