"use strict";
// The live page of a Locust under way: alone (harness/live.html), and as a page of the dashboard that is mounted beside it.
(() => {
const source = () => document.querySelector("[data-live]")?.dataset.live || "tokenswarm/live";
const NOTHING = "\u2013";
const digits = (x, most) => Math.abs(x) >= 100 ? 0 : Math.min(most, Math.abs(x) >= 10 ? 1 : 2);
const number = x => x === null || x === undefined ? NOTHING : x.toLocaleString("en", {maximumFractionDigits: digits(x, 2)});
const count = x => x === null || x === undefined ? NOTHING : x.toLocaleString("en");
const ms = x => x === null || x === undefined ? NOTHING : number(x * 1000);
const share = x => x === null || x === undefined ? NOTHING : Math.round(x * 100) + " %";
const pair = d => d.n ? ms(d.p50) + " / " + ms(d.p95) : NOTHING;
const counts = o => Object.entries(o).map(([name, n]) => name + "\u00a0\u00d7\u00a0" + count(n)).join(", ") || "none";
const latencies = name => [["TTFT", "ttft_s"], ["ITL", "itl_s"], ["TPOT", "tpot_s"], ["E2E", "e2e_s"]]
  .map(([title, key]) => ({title, key: `${name}.${key}`, value: l => l.row[name][key], show: pair}));
const TABLES = {
  recent: [
    {title: "Target", value: l => l.row.target, left: true}, {title: "Workload", value: l => l.row.workload, left: true},
    {title: "In flight", key: "in_flight", value: l => l.row.in_flight, show: count},
    ...latencies("window"),
    {title: "Ended/s", key: "attempted_rps", value: l => l.row.rates.attempted_rps, show: number},
    {title: "Ok/s", key: "completed_rps", value: l => l.row.rates.completed_rps, show: number},
    {title: "Goodput/s", key: "goodput_rps", value: l => l.row.rates.goodput_rps, show: number},
    {title: "Tokens/s", key: "output_tokens_per_s", value: l => l.row.rates.output_tokens_per_s, show: number},
    {title: "Errors", key: "window.errors", value: l => l.row.window.errors, show: counts, left: true},
  ],
  test: [
    {title: "Target", value: l => l.row.target, left: true}, {title: "Workload", value: l => l.row.workload, left: true},
    {title: "Requests", key: "attempted", value: l => l.row.test.attempted, show: count},
    ...latencies("test"),
    {title: "Within limits", key: "good", value: l => l.row.test.good, show: count},
    {title: "Tokens", key: "output_tokens", value: l => l.row.test.output_tokens, show: count},
    {title: "Outcomes", key: "outcomes", value: l => l.row.test.outcomes, show: counts, left: true},
    {title: "Errors", key: "errors", value: l => l.row.test.errors, show: counts, left: true},
  ],
  clients: [
    {title: "Worker", value: c => c.name, left: true},
    {title: "Loop lag (ms)", key: "loop_lag_p99_s", value: c => c.loop_lag_p99_s, show: ms},
    {title: "CPU of a core", key: "cpu_share", value: c => c.cpu_share, show: share},
    {title: "Waited for a core", key: "cpu_wait_share", value: c => c.cpu_wait_share, show: share},
    {title: "Machine", key: "machine_share", value: c => c.machine_share, show: share},
    {title: "Worst GC pause (ms)", key: "gc_pause_s", value: c => c.gc_pause_s, show: ms},
    {title: "Ports taken", key: "ports_share", value: c => c.ports_share, show: share},
  ],
};
function element(kind, text, marks = {}) {
  const made = document.createElement(kind);
  made.textContent = text;
  for (const [name, value] of Object.entries(marks)) made.setAttribute(name, value);
  return made;
}
function cell(column, entry, first) {
  const value = column.value(entry);
  const marks = column.left ? {class: "left"} : {};
  if (first) marks.scope = "row";
  if (column.key) { marks["data-figure"] = column.key; marks["data-value"] = JSON.stringify(value); }
  return element(first ? "th" : "td", column.show ? column.show(value) : value, marks);
}
function fill(name, entries, nothing) {
  const table = document.getElementById(name);
  if (!entries.length) return table.replaceChildren(element("caption", nothing, {class: "soft left"}));
  const head = document.createElement("thead"), heads = head.insertRow(), body = document.createElement("tbody");
  for (const column of TABLES[name]) heads.append(element("th", column.title, {scope: "col", class: column.left ? "left" : ""}));
  for (const entry of entries) {
    const row = body.insertRow();
    TABLES[name].forEach((column, place) => row.append(cell(column, entry, place === 0)));
  }
  table.replaceChildren(head, body);
}
function tell(findings) {
  const boxes = findings.map(finding => {
    const box = element("div", "", {class: `finding ${finding.severity}-f`});
    box.append(element("strong", `${finding.severity}: ${finding.saw}`), element("br", ""), finding.why, element("br", ""),
      element("span", `hint: ${finding.hint}`, {class: "soft"}));
    return box;
  });
  document.getElementById("findings").replaceChildren(...(boxes.length ? boxes : [element("p", "No doubts so far.", {class: "soft"})]));
}
function badge(name, text, kind) {
  const made = document.getElementById(name);
  made.textContent = text;
  made.className = `badge ${kind}`;
}
function draw(picture) {
  const findings = [...picture.lines.flatMap(line => line.findings), ...picture.findings];
  badge("state", picture.state, "");
  badge("verdict", `${picture.verdict} so far`, picture.verdict);
  document.getElementById("verdict").hidden = !picture.lines.length;
  document.getElementById("window").textContent = picture.window_s;
  tell(findings);
  fill("recent", picture.lines, "No request has ended yet.");
  fill("test", picture.lines, "No request has ended yet.");
  fill("clients", picture.clients, "No requests are under way.");
}
async function follow() {
  if (document.getElementById("test")) await look();
  setTimeout(follow, 1000);
}
async function look() {
  const trouble = document.getElementById("trouble");
  try {
    const answer = await fetch(source(), {cache: "no-store"});
    if (answer.redirected) return location.reload();
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const picture = await answer.json();
    if (!document.getElementById("test")) return;  // another page by now
    draw(picture);
    trouble.hidden = true;
  } catch (error) {
    trouble.textContent = `Locust does not answer (${error.message}): these figures are the last it gave.`;
    trouble.hidden = false;
  }
}
follow();
})();
