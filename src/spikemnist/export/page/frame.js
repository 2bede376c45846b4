// The page within another one: it follows its theme, and tells it how high it is.

const root = document.documentElement;
const night = window.matchMedia("(prefers-color-scheme: dark)");
const tellHeight = () => window.parent.postMessage({ height: Math.ceil(root.getBoundingClientRect().height) }, "*");

/** Take the theme of the page around this one, or else of the system; call `changed` when it changes. */
export function followTheme(changed) {
  let theme = "auto";
  const set = () => (root.dataset.theme = theme === "auto" ? (night.matches ? "dark" : "light") : theme);
  const update = () => {
    const before = root.dataset.theme;
    if (set() !== before) changed();
  };
  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || !["auto", "light", "dark"].includes(data?.theme)) return;
    theme = data.theme;
    update();
    tellHeight();
  });
  night.addEventListener("change", update);
  set();
}

/** Tell the page around this one how high this one is, now and whenever that changes. */
export function shareHeight() {
  if (window.parent !== window) new ResizeObserver(tellHeight).observe(root);
}
