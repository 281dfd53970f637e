// The page asks /status every three seconds, and /get every two for the key that is watched. It keeps ten minutes, and draws nothing while nobody
// looks.
"use strict";
const EVERY_MS = 3000, KEPT = 200, LOOK_EVERY_MS = 2000, MOVE_EVERY_MS = 1000;
const byId = id => document.getElementById(id);
const make = (tag, text, name) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
};
const colour = index => getComputedStyle(document.documentElement).getPropertyValue("--c" + index % 8).trim();
const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Numbers as people read them.
const units = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
function count(value) {
  if (value == null) return "–";
  for (const [size, name] of units) if (Math.abs(value) >= size) return (value / size).toPrecision(3) + " " + name;
  return Math.abs(value) >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toPrecision(3);
}
function bytes(value) {
  if (value == null) return "–";
  for (const [power, name] of [[30, "GiB"], [20, "MiB"], [10, "KiB"]])
    if (value >= 2 ** power) return (value / 2 ** power).toFixed(1) + " " + name;
  return value + " B";
}
function seconds(value) {
  if (value == null) return "–";
  if (value < 1) return (value * 1000).toFixed(0) + " ms";
  if (value < 120) return value.toFixed(1) + " s";
  if (value < 7200) return (value / 60).toFixed(0) + " min";
  return value < 172800 ? (value / 3600).toFixed(1) + " h" : (value / 86400).toFixed(1) + " d";
}
/** A decay interval, as a pipeline file names it. */
function span(value) {
  for (const [size, name] of [[86400, "d"], [3600, "h"], [60, "m"]]) if (value >= size && value % size === 0) return value / size + name;
  return value + "s";
}
const precise = value => value == null ? "–" : Math.abs(value) >= 1e6 ? count(value) : Number(value.toPrecision(6)).toString();

// Tables: what is as it was is left alone, cell by cell where only texts have changed. A cell is a text, or a node; one that is undefined is somebody
// else's to fill.
const stands = {};
const says = cell => cell instanceof Node ? cell.outerHTML : cell ?? "–";
const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
function table(into, head, rows, empty) {
  const holder = byId(into), shape = JSON.stringify([head, rows.map(row => row.map(cell => cell instanceof Node ? says(cell) : 0))]);
  if (stands[into] === shape) {
    const lines = holder.querySelectorAll("tbody tr");
    return rows.forEach((row, index) => row.forEach((cell, place) => cell === undefined || cell instanceof Node || write(lines[index].children[place], String(says(cell)))));
  }
  stands[into] = shape;
  if (!rows.length) return holder.replaceChildren(make("p", empty, "dim"));
  const focused = holder.contains(document.activeElement) ? document.activeElement.textContent : null;
  const shown = make("table"), top = make("thead"), body = make("tbody"), line = make("tr");
  const isNumber = index => head[index].startsWith("#");
  head.forEach((name, index) => line.append(make("th", name.replace("#", ""), isNumber(index) ? "n" : "")));
  top.append(line);
  for (const row of rows) {
    const line = make("tr");
    row.forEach((cell, index) => {
      const place = make("td", undefined, isNumber(index) ? "n" : "");
      place.append(cell instanceof Node ? cell : String(says(cell)));
      line.append(place);
    });
    body.append(line);
  }
  shown.append(top, body);
  holder.replaceChildren(shown);
  // Whoever uses the keyboard stays where they were.
  if (focused) [...holder.querySelectorAll("button")].find(button => button.textContent === focused)?.focus();
}

// Charts: each keeps its own series over time, and is drawn where it is seen.
class Chart {
  constructor(holder, names, format) {
    Object.assign(this, { holder, names, format, data: [[], ...names.map(() => [])] });
    new ResizeObserver(() => {
      if (this.plot && this.plot.width !== this.size().width) this.plot.setSize(this.size());
    }).observe(holder);
    new IntersectionObserver(entries => {
      this.isSeen = entries.at(-1).isIntersecting;
      this.show();
    }).observe(holder);
  }
  show() {
    if (!this.isSeen || document.hidden || !this.data[0].length) return;
    if (this.plot) this.plot.setData(this.data); else this.draw();
  }
  size() { return { width: Math.max(260, this.holder.clientWidth), height: 160 }; }
  draw() {
    this.plot?.destroy();
    const axis = { stroke: style("--dim"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line"), width: 1 } };
    const series = this.names.map((label, index) => ({
      label, stroke: colour(index), width: 1.5, points: { show: false }, spanGaps: false, value: (_, value) => this.format(value),
    }));
    this.plot = new uPlot({
      ...this.size(), series: [{ value: (_, time) => time == null ? "–" : new Date(time * 1000).toLocaleTimeString() }, ...series],
      axes: [{ ...axis, space: 90 }, { ...axis, size: 76, values: (_, values) => values.map(this.format) }],
      // The first few points do not stretch over years.
      scales: { x: { range: (_, low, high) => [low ?? 0, Math.max(high ?? 0, (low ?? 0) + 30)] }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high ?? 0) > 0 ? high * 1.05 : 1] } },
      cursor: { y: false },
    }, this.data, this.holder);
  }
  add(time, values) {
    this.data[0].push(time);
    values.forEach((value, index) => this.data[index + 1].push(value ?? null));
    if (this.data[0].length > KEPT) this.data.forEach(series => series.shift());
    this.show();
  }
}
const charts = {};
for (const [id, title, names, format] of [
  ["throughput", "Events and items, per second", ["events", "items written"], count],
  ["lag", "Lag", ["oldest message unread, s"], seconds],
  ["freshness", "Freshness: how long items waited for the table", ["p50", "p99", "oldest now"], seconds],
  ["waits", "What workers do: share of their time", ["busy", "source", "exchange", "writers", "other"], value => value == null ? "–" : (100 * value).toFixed(0) + " %"],
  ["memory", "Memory", ["process", "rows"], bytes],
  ["checkpoints", "Checkpoints", ["age", "duration"], seconds],
]) {
  const section = make("section"), holder = make("div");
  section.append(make("h2", title), holder);
  holder.setAttribute("role", "img");
  holder.setAttribute("aria-label", title + "; the figures stand above and below, too");
  byId("charts").append(section);
  charts[id] = new Chart(holder, names, format);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  [...Object.values(charts), watched.chart].forEach(chart => chart?.plot && chart.draw());
});

// What the run says.
let last = null;
const sum = (list, of) => list.reduce((sum, one) => sum + (of(one) ?? 0), 0);
const rate = (now, before, apart) => before == null || now == null ? null : Math.max(0, now - before) / apart;

/** What write units cost, a day. */
const dollars = perSecond => perSecond * 86400 / 1e6 * Number(byId("price").value);

function show(now, at) {
  const before = last?.status, apart = last ? (at - last.at) / 1000 : 0;
  const same = before && before.uptimeSeconds <= now.uptimeSeconds;
  const per = of => same && apart > 0 ? rate(of(now), of(before), apart) : null;
  const lag = Math.max(...now.lagByPartition?.map(one => one.seconds ?? 0) ?? [], -1);
  const eventsPerSecond = per(status => status.events), itemsPerSecond = per(status => status.itemsWritten);
  const unitsPerSecond = per(status => status.writeUnits);
  const perDay = unitsPerSecond == null ? null : dollars(unitsPerSecond);
  byId("name").textContent = now.pipeline ?? "counter-machine";
  document.title = (now.ready?.ok ? "" : "not ready: ") + (now.pipeline ?? "counter-machine");
  byId("about").textContent = `counter-machine ${now.version}, process ${now.process} of ${now.processes}, ${now.workers} workers` +
    (now.generation == null ? "" : `, generation ${now.generation}`) + `, up ${seconds(now.uptimeSeconds)}`;
  for (const [id, yes] of [["ready", "ready"], ["live", "live"]]) {
    const verdict = now[id] ?? { ok: false, reason: "unknown" };
    byId(id).textContent = verdict.ok ? yes : `not ${yes}: ${verdict.reason}`;
    byId(id).className = "chip " + (verdict.ok ? "good" : "bad");
  }
  const fresh = now.freshness ?? {}, checkpoint = now.checkpoint ?? {};
  const tiles = {
    "events/s": count(eventsPerSecond), "events": count(now.events), "lag": lag < 0 ? "–" : seconds(lag), "lag, messages": count(now.lag),
    "freshness, p99": seconds(fresh.p99Seconds), "oldest waiting": seconds(fresh.oldestSeconds), "items waiting": count(now.waiting),
    "items/s": count(itemsPerSecond), "rows": count(sum(now.rows ?? [], rows => rows)), "memory": bytes(now.residentBytes),
    "late events": count(now.lateEvents), "checkpoint": now.checkpoint ? seconds(checkpoint.ageSeconds) + " ago" : "none", "dead letters": count(now.deadLetters),
    "write units/s": count(unitsPerSecond), "$ a day": perDay == null ? "–" : perDay.toFixed(2),
  };
  for (const [limit, used] of Object.entries(now.limitsUsed ?? {})) tiles["of the limit, " + limit] = (100 * used).toFixed(0) + " %";
  const names = Object.keys(tiles), shown = byId("tiles").children;
  if (names.length !== shown.length) byId("tiles").replaceChildren(...names.map(name => {
    const tile = make("div");
    tile.append(make("dt", name), make("dd"));
    return tile;
  }));
  names.forEach((name, index) => write(shown[index].children[1], tiles[name]));

  const workers = now.workersHere ?? [], earlier = new Map((same && before.workersHere || []).map(worker => [worker.worker, worker]));
  const shares = workers.map(worker => {
    const was = earlier.get(worker.worker);
    const share = of => was && apart > 0 ? Math.min(1, rate(of(worker), of(was), apart)) : null;
    const waits = Object.keys(worker.waitingSeconds).map(name => [name, share(one => one.waitingSeconds[name])]);
    return { worker, busy: share(one => one.busySeconds), waits: Object.fromEntries(waits) };
  });
  const mean = of => shares.some(share => of(share) != null) ? sum(shares, of) / shares.length : null;
  const time = at / 1000;
  charts.throughput.add(time, [eventsPerSecond, itemsPerSecond]);
  charts.lag.add(time, [lag < 0 ? null : lag]);
  charts.freshness.add(time, [fresh.p50Seconds, fresh.p99Seconds, fresh.oldestSeconds]);
  charts.waits.add(time, [mean(share => share.busy), ...["source", "exchange", "writers", "other"].map(name => mean(share => share.waits[name]))]);
  charts.memory.add(time, [now.residentBytes, now.rowBytesHere]);
  charts.checkpoints.add(time, [checkpoint.ageSeconds, checkpoint.durationSeconds]);

  const percent = value => value == null ? "–" : (100 * value).toFixed(0) + " %";
  table("workers", ["worker", "waits for", "#busy", "#epochs", "#source", "#exchange", "#writers"], shares.map(({ worker, busy, waits }) =>
    [worker.worker, worker.isHeld ? "catching up" : worker.waitsFor, percent(busy), worker.epochsInFlight, percent(waits.source), percent(waits.exchange), percent(waits.writers)]),
    "none yet");
  const source = (now.lagByPartition ?? []).map(one => ["partition " + one.partition, count(one.messages), seconds(one.seconds)]);
  if (now.bytesRead != null) source.push(["logs: " + bytes(now.bytesRead) + (now.bytesTotal ? " of " + bytes(now.bytesTotal) : " read"), "", ""]);
  table("partitions", ["read here", "#messages behind", "#seconds behind"], source, "nothing is read yet");
  const groupsBefore = new Map((same && before.groups || []).map(group => [group.group, group]));
  const paysUnits = now.writeUnits > 0;
  table("groups", ["group", "key", "#events/s", "#updates/s", "#without a key", "#rows", "#bytes", "#keys", ...(paysUnits ? ["#units/s", "#$ a day"] : [])], (now.groups ?? []).map(group => {
    const was = groupsBefore.get(group.group);
    const each = of => was ? rate(of(group), of(was), apart) : null, units = each(one => one.writeUnits);
    return [group.group, group.key.join(", "), count(each(one => one.events)), count(each(one => one.updates)), count(group.missingKeys), count(group.rows), bytes(group.rowBytes),
      count(group.keys), ...(paysUnits ? [count(units), units == null ? "–" : dollars(units).toFixed(2)] : [])];
  }), "none");
  table("hot", ["key", "of", "#of all events, about"], (now.hotKeys ?? []).map(hot => {
    const button = make("button", hot.key);
    Object.assign(button, { type: "button", onclick: () => watchText(hot.group, hot.key) });
    return [button, hot.fields.join(", "), (100 * hot.share).toFixed(2) + " %"];
  }), "none yet");
  const retries = Object.entries(now.sinkRetries ?? {}).map(([cause, times]) => `${cause}: ${times}`).join(", ");
  table("sink", ["", ""], [
    ["table", now.sink], ["written", count(now.itemsWritten)], ["refused", count(now.itemsRefused)], ["superseded", count(now.itemsSuperseded)],
    ["tried again", retries || "never"], ["trouble", now.sinkTrouble || "none"], ["write units", count(now.writeUnits)],
    ["budget, units/s", count(now.budgetWriteUnits)], ["put off at most", seconds(now.putOffSeconds)],
    ["held back", Object.entries(now.heldBack ?? {}).filter(([, times]) => times).map(([cause, times]) => `${cause}: ${count(times)}`).join(", ") || "nothing"],
    ["checkpoints", now.checkpoint ? `${now.checkpoints} made, ${now.failedCheckpoints} failed, last ${bytes(checkpoint.bytes)}` : "no state"],
    ["restored in", seconds(now.restoreSeconds)],
  ], "");
  const reasons = Object.entries(now.deadLettersByReason ?? {}).map(([reason, times]) => [reason, count(times), "", ""]);
  const letters = (now.lastDeadLetters ?? []).slice().reverse().map(letter => [letter.reason, letter.at.slice(11, 19), letter.place, make("code", letter.text)]);
  table("letters", ["reason", "#how many, or when", "where", "what"], [...reasons, ...letters], "none");
  last = { status: now, at };
  groupsAre(now.groups ?? [], now.canGet);
}

async function poll() {
  try {
    const answer = await fetch("/status", { signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error("it answers " + answer.status);
    show(await answer.json(), Date.now());
    byId("lost").hidden = true;
  } catch (error) {
    byId("lost").hidden = false;
    byId("lost").textContent = "The run does not answer (" + error.message + "): what is shown is old. It may have ended, or starts again.";
  }
  setTimeout(poll, EVERY_MS);
}

// A key, and its counters.
const watched = { items: [], chart: null, feature: null, query: null };
let knownGroups = "";
function groupsAre(groups, canGet) {
  const names = groups.map(group => group.group).join("\n");
  if (!canGet) byId("key-said").textContent = "What this run writes to cannot be read here: dynamodb and sqlite can.";
  if (names === knownGroups) return;
  knownGroups = names;
  byId("group").replaceChildren(...groups.map(group => make("option", group.group)));
  // A link to a key names it behind the #.
  const linked = new URLSearchParams(location.hash.slice(1));
  if (groups.some(group => group.group === linked.get("group"))) byId("group").value = linked.get("group");
  askFields();
  const values = linked.getAll("key"), inputs = byId("fields").querySelectorAll("input");
  inputs.forEach((input, index) => { input.value = values[index] ?? ""; });
  if (values.length && values.length === inputs.length) watch();
}
function askFields() {
  const group = last?.status.groups.find(group => group.group === byId("group").value) ?? null;
  const keys = group ? group.key : [];
  byId("fields").replaceChildren(...keys.map(name => {
    const label = make("label", name + " "), input = make("input");
    Object.assign(input, { name: "key", required: true, size: 14, autocomplete: "off", spellcheck: false });
    label.append(input);
    return label;
  }));
}
byId("group").addEventListener("change", askFields);
/** A key by its text: the values of its fields between bars, where a bar in a value has a backslash before it. */
function watchText(group, text) {
  byId("group").value = group;
  askFields();
  const inputs = byId("fields").querySelectorAll("input");
  const values = inputs.length > 1 ? text.match(/(?:\\.|[^\\|])+/gs) ?? [] : [text];
  inputs.forEach((input, index) => { input.value = inputs.length > 1 ? (values[index] ?? "").replace(/\\(.)/gs, "$1") : text; });
  watch();
  byId("key-form").scrollIntoView({ block: "nearest" });
}
function watch() {
  const query = new URLSearchParams({ group: byId("group").value });
  byId("fields").querySelectorAll("input").forEach(input => query.append("key", input.value));
  Object.assign(watched, { query: query.toString(), items: [], feature: null });
  watched.chart?.plot?.destroy();
  watched.chart = null;
  byId("key-chart").replaceChildren();
  history.replaceState(null, "", "#" + query);
  look();
}
byId("key-form").addEventListener("submit", event => {
  event.preventDefault();
  watch();
});
byId("filter").addEventListener("input", () => listFeatures());

/** The value of a counter at a time: it falls by e in each interval. */
function valueAt(entry, time) {
  return entry.value * Math.exp(-Math.max(0, time - entry.lastUpdate) / entry.decayInterval);
}
/** Now, in the units of the events' times, by the clock of the run. */
const perSecond = unit => ({ s: 1, ms: 1e3, us: 1e6, ns: 1e9 })[unit] ?? 1e3;
function runNow() { return watched.readAt + (performance.now() - watched.heard) / 1000 * perSecond(last.status.timeUnit); }
const entries = item => Object.values(item.counts).sort((one, other) => one.decayInterval - other.decayInterval);
const interval = entry => span(entry.decayInterval / perSecond(last.status.timeUnit));

async function look() {
  const query = watched.query;
  if (!query || document.hidden) return;
  try {
    const answer = await fetch("/get?" + query, { signal: AbortSignal.timeout(12000) });
    const found = await answer.json();
    if (query !== watched.query) return;
    if (!answer.ok) {
      byId("key-said").textContent = found.error;
      watched.items = [];
    } else {
      watched.items = found.items;
      watched.readAt = found.items[0]?.at ?? found.ratios[0]?.ratios[0]?.time ?? 0;
      watched.heard = performance.now();
      byId("key-said").textContent = `${found.items.length} features`;
      table("ratios", ["ratio", ...(found.ratios[0]?.ratios ?? []).map(one => "#" + interval(one))], found.ratios.map(ratio =>
        [ratio.ratioName, ...ratio.ratios.map(one => precise(one.smoothed) + (one.lowerBound == null ? "" : ` (≥ ${precise(one.lowerBound)})`))]), "");
    }
    listFeatures();
  } catch (error) {
    byId("key-said").textContent = "no answer: " + error.message;
  }
}
function listFeatures() {
  const shown = watched.items.filter(item => item.featureName.includes(byId("filter").value));
  if (!shown.some(item => item.featureName === watched.feature)) choose(shown[0]?.featureName ?? null);
  const decays = shown.length ? entries(shown[0]).length : 0;
  table("features", ["feature", "#last event", ...Array.from({ length: decays }, (_, index) => "#" + interval(entries(shown[0])[index]))], shown.slice(0, 200).map(item => {
    const button = make("button", item.featureName);
    Object.assign(button, { type: "button", onclick: () => { choose(item.featureName); listFeatures(); } });
    button.setAttribute("aria-pressed", item.featureName === watched.feature);
    return [button, undefined, ...entries(item).map(() => undefined)];
  }), watched.query ? "no such features" : "Type a key to see its counters move.");
  watched.shown = shown.slice(0, 200);
  moveValues();
}
function choose(feature) {
  if (feature === watched.feature) return;
  watched.feature = feature;
  watched.chart?.plot?.destroy();
  byId("key-chart").replaceChildren();
  const item = watched.items.find(item => item.featureName === feature);
  watched.chart = item ? new Chart(byId("key-chart"), entries(item).map(entry => feature + ", " + interval(entry)), precise) : null;
}
function moveValues() {
  if (!watched.items.length) return;
  const now = runNow();
  const lines = byId("features").querySelectorAll("tbody tr");
  (watched.shown ?? []).forEach((item, row) => {
    const cells = lines[row]?.children;
    if (!cells) return;
    const all = entries(item);
    write(cells[1], seconds(Math.max(0, now - all[0].lastUpdate) / perSecond(last.status.timeUnit)) + " ago");
    all.forEach((entry, index) => cells[index + 2] && write(cells[index + 2], precise(valueAt(entry, now))));
  });
  const chosen = watched.items.find(item => item.featureName === watched.feature);
  if (chosen && watched.chart) watched.chart.add(Date.now() / 1000, entries(chosen).map(entry => valueAt(entry, now)));
}
setInterval(() => document.hidden || moveValues(), MOVE_EVERY_MS);
setInterval(look, LOOK_EVERY_MS);
poll();
