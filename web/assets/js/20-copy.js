// Buttons that copy a whole id. Without scripts, or without a clipboard, there are none.
(() => {
  "use strict";
  if (!navigator.clipboard) return;

  const show = (part) => {
    for (const button of part.querySelectorAll(".ident > .copy[hidden]")) button.hidden = false;
  };
  show(document);
  document.addEventListener("htmx:after:swap", () => show(document));

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.(".ident > .copy");
    if (!button) return;
    await navigator.clipboard.writeText(button.parentElement.dataset.copy);
    const name = button.getAttribute("aria-label");
    button.dataset.done = "";
    button.setAttribute("aria-label", button.dataset.copied);
    setTimeout(() => {
      delete button.dataset.done;
      button.setAttribute("aria-label", name);
    }, 2000);
  });
})();
