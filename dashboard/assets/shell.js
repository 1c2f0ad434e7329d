// What the navigation needs beyond links: which page is the present, its title, the focus, and the way out.
(() => {
  let last = null;
  const settle = () => {
    window.tokenswarmTheme();
    for (const link of document.querySelectorAll(".nav-link")) {
      const here = new URL(link.href).pathname.replace(/\/$/, "") === location.pathname.replace(/\/$/, "");
      if (!here) { link.removeAttribute("aria-current"); continue; }
      link.setAttribute("aria-current", "page");
      const row = link.parentElement; // on a phone it scrolls: the present page must be in sight
      row.scrollLeft = link.offsetLeft - row.offsetLeft - (row.clientWidth - link.offsetWidth) / 2;
    }
    const title = document.querySelector("#page h1");
    if (!title) return;
    document.title = `${title.textContent} · tokenswarm`;
    if (last !== null && last !== location.pathname) title.focus({ preventScroll: true });
    last = location.pathname;
  };
  const watch = () => {
    const page = document.getElementById("page");
    if (!page) return setTimeout(watch, 50);
    new MutationObserver(settle).observe(page, { childList: true });
    settle();
  };
  watch();
  // A number of the matrix: what it opens may lie below what is seen.
  document.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    for (const each of document.querySelectorAll(".cell[aria-pressed]")) each.removeAttribute("aria-pressed");
    cell.setAttribute("aria-pressed", "true");
    const opened = document.getElementById("matrix-drill");
    const seen = new MutationObserver(() => {
      seen.disconnect();
      if (opened.getBoundingClientRect().top > innerHeight * 0.7) opened.scrollIntoView({ block: "start" });
    });
    seen.observe(opened, { childList: true });
  });
  const csrf = () => JSON.parse(document.getElementById("_dash-config").textContent).csrf_token_name;
  document.addEventListener("click", async (event) => {
    if (!event.target.closest("#leave")) return;
    const name = csrf();
    const token = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1) || "";
    const prefix = document.querySelector(".app").dataset.prefix;
    await fetch(`${prefix}logout`, { method: "POST", headers: { "X-CSRFToken": token }, redirect: "manual" });
    location.assign(prefix);
  });
})();
