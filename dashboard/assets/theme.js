// Light or dark: what the system likes, unless somebody chose. Set before anything is drawn.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem("tokenswarm-theme"); } catch { return null; } };
  const show = () => {
    const theme = chosen() || (system.matches ? "dark" : "light");
    root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.textContent = theme === "dark" ? "Light" : "Dark";
  };
  show();
  system.addEventListener("change", show);
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#theme")) return;
    try { localStorage.setItem("tokenswarm-theme", root.dataset.theme === "dark" ? "light" : "dark"); } catch { /* private */ }
    show();
  });
  window.tokenswarmTheme = show;
})();
