// What the navigation needs beyond links: which page is the present, its title, the focus, and the way out.
(() => {
  let last = null;
  const settle = () => {
    window.tokenswarmTheme();
    for (const link of document.querySelectorAll(".nav-link")) {
      const here = new URL(link.href).pathname.replace(/\/$/, "") === location.pathname.replace(/\/$/, "");
      if (here) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
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
