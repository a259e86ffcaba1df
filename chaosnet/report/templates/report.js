
"use strict";
(function () {
  const root = document.documentElement;
  const themes = ["system", "light", "dark"];
  const button = document.getElementById("theme");
  const apply = function (theme) {
    if (theme === "system") { delete root.dataset.theme; } else { root.dataset.theme = theme; }
    button.textContent = "Theme: " + theme;
  };
  // Storage can be forbidden for local files; then the choice lasts as long as the page.
  const remembered = function () { try { return localStorage.getItem("chaosnet-theme"); } catch { return null; } };
  const remember = function (theme) { try { localStorage.setItem("chaosnet-theme", theme); } catch { /* see above */ } };
  let current = themes.includes(remembered()) ? remembered() : "system";
  apply(current);
  button.hidden = false;
  button.addEventListener("click", function () {
    current = themes[(themes.indexOf(current) + 1) % themes.length];
    apply(current);
    remember(current);
  });

  // Times are written in UTC and shown in the reader's own zone.
  document.querySelectorAll("time[datetime]").forEach(function (element) {
    const date = new Date(element.getAttribute("datetime"));
    if (Number.isNaN(date.getTime())) { return; }
    const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
    const short = element.hasAttribute("data-clock");
    const style = short ? { ...clock, fractionalSecondDigits: 3 } : { dateStyle: "long", timeStyle: "long" };
    element.title = element.textContent;
    element.textContent = new Intl.DateTimeFormat(undefined, style).format(date);
  });

  if (navigator.clipboard) {
    document.querySelectorAll("[data-copy]").forEach(function (copy) {
      copy.hidden = false;
      copy.addEventListener("click", function () {
        navigator.clipboard.writeText(copy.parentElement.querySelector("code").textContent).then(function () {
          copy.textContent = "Copied";
        });
      });
    });
  }
})();
