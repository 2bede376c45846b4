// Frames are as high as the pages in them, which follow the theme of this one.

const frames = () => [...document.querySelectorAll("iframe.digit-page")];
const tellTheme = (frame) => frame.contentWindow.postMessage({ theme: document.body.dataset.theme ?? "auto" }, "*");

window.addEventListener("message", ({ source, data }) => {
  const frame = frames().find(({ contentWindow }) => contentWindow === source);
  const height = `${data?.height}px`;
  if (!frame || !(data?.height > 0) || frame.style.height === height) return;
  frame.style.height = height;
  tellTheme(frame);
});
new MutationObserver(() => frames().forEach(tellTheme)).observe(document.body, { attributeFilter: ["data-theme"] });
frames().forEach(tellTheme); // who came before this script tells its height again
