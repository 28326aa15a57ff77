// Only with browser.stealth: a page does not see that its browser is automated.
Object.defineProperty(Navigator.prototype, "webdriver", { get: () => false });
