"use strict";
const SPAN = 120; // seconds drawn
const WIDE = 10; // seconds over which shares are taken, as few packets tell little
const NS = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

function el(tag, of, text) {
  const it = document.createElement(tag);
  if (of) it.className = of;
  if (text !== undefined) it.textContent = text;
  return it;
}

function shape(tag, of) {
  const it = document.createElementNS(NS, tag);
  it.setAttribute("class", of);
  return it;
}

// Three digits that count, with the largest unit that fits.
function scaled(value, step, units) {
  let at = 0;
  while (value >= step && at < units.length - 1) { value /= step; at += 1; }
  const digits = at === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toFixed(digits) + " " + units[at];
}
const known = (write) => (value) => value === null || value === undefined ? "–" : write(value);
const bits = known((v) => scaled(v, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]));
const rate = known((v) => bits(v * 8));
const bytes = known((v) => scaled(v, 1000, ["B", "kB", "MB", "GB", "TB", "PB"]));
const millis = known((v) => (v * 1000).toFixed(v < 0.01 ? 1 : 0) + " ms");
const share = known((v) => (v * 100).toFixed(v < 0.1 ? 1 : 0) + " %");
const times = known((v) => v.toFixed(2) + " ×");
function span(seconds) {
  const s = Math.floor(seconds), pairs = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = pairs.findIndex(([unit]) => s >= unit);
  if (at < 0) return "0 s";
  const [unit, name] = pairs[at], next = pairs[at + 1];
  const rest = next ? Math.floor((s % unit) / next[0]) : 0;
  return Math.floor(s / unit) + " " + name + (rest ? " " + rest + " " + next[1] : "");
}

// The next round number above a value: the top of an axis.
function ceiling(value, least) {
  const top = Math.max(value, least), unit = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 3, 4, 6, 8, 10].map((n) => n * unit).find((n) => n >= top * 0.999);
}

class Chart {
  constructor(title, lines, write, least) {
    Object.assign(this, { title, lines, write, least, points: [] });
    const figure = el("figure"), caption = el("figcaption"), now = el("div", "now");
    this.plot = el("div", "plot");
    this.svg = shape("svg", "");
    this.svg.setAttribute("viewBox", `0 0 ${SPAN} 100`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("role", "img");
    for (const [y, of] of [[0, "grid"], [50, "grid"], [100, "base"]]) {
      this.svg.append(this.rule(of, 0, y, SPAN, y));
    }
    for (const line of lines) {
      line.area = shape("path", "area " + line.of);
      line.curve = shape("path", "curve " + line.of);
      line.now = el("output");
      line.now.dataset.figure = line.key;
      const key = el("span", line.of);
      key.append(el("small", "", line.name), line.now);
      now.append(key);
      this.svg.append(line.area, line.curve);
    }
    this.lead = this.rule("lead", 0, 0, 0, 100);
    this.top = el("span", "top");
    this.mid = el("span", "mid");
    this.tip = el("div", "tip");
    this.show(null);
    this.plot.append(this.svg, this.top, this.mid, this.tip);
    this.svg.append(this.lead);
    caption.append(el("b", "", title), now);
    const axis = el("div", "axis");
    axis.setAttribute("aria-hidden", "true");
    axis.append(el("span", "", "2 min ago"), el("span", "", "now"));
    figure.append(caption, this.plot, axis);
    $("charts").append(figure);
    this.plot.onpointermove = (event) => this.point(event);
    this.plot.onpointerleave = () => this.show(null);
  }

  rule(of, x1, y1, x2, y2) {
    const line = shape("line", of);
    for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(name, value);
    return line;
  }

  add(time, values) {
    this.points.push({ time, values });
    while (this.points[0].time < time - SPAN) this.points.shift();
    this.draw();
  }

  draw() {
    const { points, lines } = this, end = points[points.length - 1].time;
    const all = points.flatMap((p) => p.values).filter((v) => v !== null);
    const top = ceiling(Math.max(0, ...all), this.least);
    const y = (v) => 100 * (1 - Math.max(0, v) / top);
    this.place = (time) => SPAN - (end - time);
    const short = (v) => this.write(v).replace(/\.0+ /, " ").replace(/(\.[1-9])0 /, "$1 ");
    this.top.textContent = short(top);
    this.mid.textContent = short(top / 2);
    lines.forEach((line, i) => {
      let curve = "", area = "", from = null, last = 0;
      const close = () => { if (from !== null) area += `L${last} 100L${from} 100Z`; from = null; };
      for (const { time, values } of points) {
        if (values[i] === null) { close(); continue; }
        const at = this.place(time).toFixed(1), step = `${from === null ? "M" : "L"}${at} ${y(values[i]).toFixed(1)}`;
        if (from === null) from = at;
        curve += step; area += step; last = at;
      }
      close();
      line.curve.setAttribute("d", curve);
      line.area.setAttribute("d", area);
      line.now.textContent = this.write(points[points.length - 1].values[i]);
    });
    const told = lines.map((line) => `${line.name} ${line.now.textContent}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.title}: ${told}; axis up to ${this.write(top)}`);
  }

  point(event) {
    if (!this.points.length) return;
    const box = this.plot.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * SPAN;
    const far = (p) => Math.abs(this.place(p.time) - x);
    this.show(this.points.reduce((best, p) => (far(p) < far(best) ? p : best)));
  }

  show(point) {
    this.tip.hidden = point === null;
    this.lead.style.display = point ? "" : "none";
    if (!point) return;
    const x = this.place(point.time), left = x > SPAN / 2;
    this.lead.setAttribute("x1", x);
    this.lead.setAttribute("x2", x);
    this.tip.style.left = left ? "" : `calc(${(100 * x) / SPAN}% + .6rem)`;
    this.tip.style.right = left ? `calc(${100 - (100 * x) / SPAN}% + .6rem)` : "";
    this.tip.replaceChildren(...this.lines.map((line, i) => {
      const row = el("div", line.of);
      row.append(el("small", "", line.name), el("span", "", this.write(point.values[i])));
      return row;
    }));
  }
}

const charts = {
  speed: new Chart("Throughput", [
    { key: "in", of: "in", name: "in" }, { key: "out", of: "out", name: "out" }], bits, 100000),
  rtt: new Chart("Round trip", [{ key: "rtt", of: "in", name: "longest" }], millis, 0.01),
  loss: new Chart("Loss", [
    { key: "rebuilt", of: "in", name: "in, rebuilt" }, { key: "resent", of: "out", name: "out, sent again" }],
  share, 0.02),
  overhead: new Chart("Overhead: bytes on the wire for each carried", [
    { key: "overhead", of: "in", name: "both ways" }], times, 1),
};

let last = null;
let looks = []; // of the last WIDE seconds

// Of fewer than 20 a share says nothing.
const part = (some, all) => (all >= 20 ? Math.min(1, Math.max(0, some) / all) : null);
const resent = (t) => t.retransmits_fast + t.retransmits_early + t.retransmits_timeout - t.retransmits_spurious;

// What changed between two looks.
function draw(now, before) {
  const time = now.program.uptime, lapse = time - before.program.uptime;
  const t = now.totals, speed = (key) => (8 * (t[key] - before.totals[key])) / lapse;
  const b = looks[0].totals, grown = (key) => t[key] - b[key];
  const carried = grown("payload_bytes_in") + grown("payload_bytes_out");
  const wire = grown("wire_bytes_in") + grown("wire_bytes_out");
  charts.speed.add(time, [speed("payload_bytes_in"), speed("payload_bytes_out")]);
  charts.rtt.add(time, [t.rtt]);
  const rebuilt = grown("fec_recovered");
  charts.loss.add(time, [
    part(rebuilt, grown("fec_data_in") + rebuilt), part(resent(t) - resent(b), grown("data_segments_out"))]);
  charts.overhead.add(time, [carried > 10000 ? wire / carried : null]);
}

function fill(table, rows, empty) {
  const body = $(table).tBodies[0];
  if (!rows.length) {
    const cell = el("td", "none", empty);
    cell.colSpan = $(table).tHead.rows[0].cells.length;
    rows = [el("tr")];
    rows[0].append(cell);
  }
  body.replaceChildren(...rows);
}

function row(name, of, cells) {
  const it = el("tr"), head = el("th", of, name);
  head.scope = "row";
  it.append(head, ...cells.map((text) => el("td", "", text)));
  return it;
}

const nameOf = (s) => `${s.local} ${s.remote} ${s.conv}`;

function list(now, before) {
  const known = new Map((before ? before.sessions : []).map((s) => [nameOf(s), s]));
  const lapse = before ? now.program.uptime - before.program.uptime : 1;
  fill("sessions", now.sessions.map((s) => {
    const old = known.get(nameOf(s));
    const speed = (key) => (old ? rate((s[key] - old[key]) / lapse) : "–");
    const it = row(s.remote, s.suspect ? "lost" : "", [span(s.age), speed("payload_bytes_in"),
      speed("payload_bytes_out"), millis(s.rtt), share(s.loss), s.fec_recovered,
      `${s.in_flight} of ${s.window_flight}`, s.streams.length + s.streams_left_out]);
    it.title = `from ${s.local}, conversation ${s.conv}, RTO ${millis(s.rto)}, windows ${s.window_send} here, ` +
      `${s.window_remote} free at the peer, ${s.queued} segments wait` +
      (s.suspect ? `; silent for ${span(s.silence)}` : "");
    return it;
  }), "No session: one is dialled when it is needed, or a client calls.");
  fill("streams", now.sessions.flatMap((s) => s.streams.map((stream) => row(stream.id, "", [
    s.remote, span(stream.age), bytes(stream.bytes_in), bytes(stream.bytes_out), bytes(stream.unread)]))),
  "No stream is open.");
  const left = now.sessions.reduce((sum, s) => sum + s.streams_left_out, 0);
  $("sessions-more").textContent = now.sessions_left_out ? `and ${now.sessions_left_out} more` : "";
  $("streams-more").textContent = left ? `and ${left} more` : "";
}

function tell(now) {
  const { program, health, totals } = now;
  $("name").textContent = program.name;
  health_is(health.ok ? "good" : "bad", health.ok ? "well" : health.trouble);
  $("about").textContent = [`version ${program.version}`, `up ${span(program.uptime)}`,
    `${bytes(totals.payload_bytes_in)} in`, `${bytes(totals.payload_bytes_out)} out`,
    ...program.settings.map(([name, value]) => `${name} ${value}`)].join(" · ");
  document.title = `${program.name} ↓ ${charts.speed.lines[0].now.textContent || "–"}`;
  if (!$("counters").parentElement.open) return;
  $("counters").replaceChildren(...Object.entries(totals).map(([name, value]) => {
    const it = el("div");
    it.append(el("dt", "", name.replaceAll("_", " ")), el("dd", "", value === null ? "–" : +(+value).toFixed(4)));
    return it;
  }));
}

function health_is(of, text) {
  const it = $("health");
  if (it.textContent === text && it.className === of) return; // said once
  it.className = of;
  it.textContent = text;
}

async function look() {
  try {
    const answer = await fetch("status.json");
    if (!answer.ok) throw new Error(answer.status);
    const now = await answer.json();
    if (last && now.program.started !== last.program.started) {
      last = null;
      looks = [];
      Object.values(charts).forEach((chart) => { chart.points = []; });
    }
    if (last && now.program.uptime > last.program.uptime) draw(now, last);
    looks = looks.filter((it) => it.program.uptime > now.program.uptime - WIDE).concat(now);
    list(now, last);
    last = now;
    tell(now);
  } catch {
    health_is("bad", "no answer from the program");
  }
  setTimeout(look, document.hidden ? 5000 : 1000);
}
look();
