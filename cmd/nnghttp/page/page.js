"use strict";
const $ = (id) => document.getElementById(id);
const SHOWN = 150;    // round trips in the plot
const LOGGED = 200;   // lines in the log
const PERIOD = 100;   // ms between pings

// The socket. A WebSocket keeps the order, so an echo belongs to the oldest message
// that is still out.
let socket;
let out = [];         // {text, sent, quiet}
let count = 0;
let times = [];

function connect() {
  show("connecting");
  socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws");
  socket.onopen = () => {
    show("connected");
    log("connected");
  };
  socket.onmessage = (event) => {
    const now = performance.now();
    const m = out.shift();
    if (!m || m.text !== event.data) {
      log("this is not what was sent: " + event.data);
      return;
    }
    const ms = now - m.sent;
    count++;
    times.push(ms);
    if (times.length > SHOWN) times.shift();
    if (!m.quiet) log(event.data, ms);
    redraw();
  };
  socket.onclose = (event) => {
    out = [];
    if ($("status").dataset.state === "connected") {
      log("disconnected (" + event.code + (event.reason ? ", " + event.reason : "") + ")");
    }
    show("disconnected");
    setTimeout(connect, 1000);
  };
}

function show(state) {
  $("status").textContent = state;
  $("status").dataset.state = state;
  $("send").disabled = state !== "connected";
}

function send(text, quiet) {
  if (socket.readyState !== WebSocket.OPEN) return;
  out.push({ text, quiet, sent: performance.now() });
  socket.send(text);
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  send($("message").value, false);
});

let timer;
$("ping").addEventListener("change", () => {
  clearInterval(timer);
  let n = 0;
  if ($("ping").checked) timer = setInterval(() => send("ping " + ++n, true), PERIOD);
});

// A line of the log: an echo with its round trip, or an event.
function log(text, ms) {
  const line = document.createElement("li");
  const what = document.createElement("span");
  what.textContent = text;
  line.append(what);
  if (ms === undefined) {
    line.className = "event";
  } else {
    const t = document.createElement("time");
    t.textContent = format(ms);
    line.append(t);
  }
  const box = $("log");
  const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
  box.append(line);
  while (box.children.length > LOGGED) box.firstChild.remove();
  if (atEnd) box.scrollTop = box.scrollHeight;
}

function format(ms) {
  return ms.toFixed(ms < 1 ? 3 : ms < 10 ? 2 : ms < 100 ? 1 : 0) + " ms";
}

// The figures and the plot, at most once per frame of the screen.
let due = false;
function redraw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    const sorted = [...times].sort((a, b) => a - b);
    const half = sorted.length >> 1;
    const median = sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    const max = sorted[sorted.length - 1];
    $("count").textContent = count;
    if (times.length > 0) {
      $("last").textContent = format(times[times.length - 1]);
      $("median").textContent = format(median);
      $("max").textContent = format(max);
    }
    plot(median, max);
  });
}

// The values 1, 2 and 5 of each power of ten, from the last one below low to the first
// one above high.
function marks(low, high) {
  const all = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const m of [1, 2, 5]) all.push(m * 10 ** power);
  }
  const from = all.findLastIndex((v) => v <= low * 1.0001);
  const to = all.findIndex((v) => v >= high * 0.9999);
  return all.slice(from, to + 1);
}

function node(name, attributes, text) {
  const n = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) n.setAttribute(key, value);
  if (text !== undefined) n.textContent = text;
  return n;
}

// The plot has a logarithmic scale: one slow message in a hundred must not flatten all
// others.
function plot(median, max) {
  const box = $("plot");
  const width = box.clientWidth, height = box.clientHeight;
  if (!width || !height) return;
  const left = 58, right = 58, top = 28, bottom = 26;
  const svg = node("svg", { viewBox: `0 0 ${width} ${height}` });
  const low = Math.max(0.001, Math.min(...times, 0.5)), high = Math.max(max || 0, 2 * low, 2);
  const scale = marks(low, high);
  const first = Math.log10(scale[0]), span = Math.log10(scale[scale.length - 1]) - first;
  const x = (i) => width - right - (times.length - 1 - i) * (width - left - right) / (SHOWN - 1);
  const y = (ms) => height - bottom - (Math.log10(Math.max(ms, low)) - first) / span * (height - top - bottom);

  svg.append(node("text", { x: 0, y: 12 }, "round-trip time, logarithmic"));
  const crowded = scale.length > 8;
  for (const ms of scale) {
    if (crowded && !/1/.test(ms.toPrecision(1))) continue;
    svg.append(node("line", { class: ms === scale[0] ? "base" : "grid", x1: left, x2: width - right, y1: y(ms), y2: y(ms) }));
    svg.append(node("text", { x: left - 8, y: y(ms) + 4, "text-anchor": "end" }, Number(ms.toPrecision(1)) + " ms"));
  }
  svg.append(node("text", { x: left, y: height - 6 }, `${SHOWN} messages ago`));
  svg.append(node("text", { x: width - right, y: height - 6, "text-anchor": "end" }, "now"));

  if (times.length === 0) {
    svg.append(node("text", { class: "label", x: width / 2, y: height / 2, "text-anchor": "middle" }, "no round trips yet"));
  } else {
    const line = times.map((ms, i) => `${x(i).toFixed(1)} ${y(ms).toFixed(1)}`).join("L");
    svg.append(node("path", { class: "series", d: "M" + line }));
    svg.append(node("line", { class: "median", x1: left, x2: width - right, y1: y(median), y2: y(median) }));
    for (const i of new Set([times.indexOf(max), times.length - 1])) {
      svg.append(node("circle", { class: "dot", cx: x(i), cy: y(times[i]), r: 5 }));
    }
    // The names stand beside the plot, where no data is, and never on each other.
    const beside = (at, name) => svg.append(node("text", { class: "label", x: width - right + 8, y: at + 4 }, name));
    beside(y(median), "median");
    beside(Math.min(y(max), y(median) - 15), "max");
  }
  box.replaceChildren(svg);
}

// The server's numbers.
async function poll() {
  try {
    const stats = await (await fetch("/stats")).json();
    for (const id of ["requests", "running", "connections", "hijacked"]) {
      $(id).textContent = stats[id].toLocaleString();
    }
  } catch {
    // The server is away; the status says so.
  }
  setTimeout(poll, 1000);
}

new ResizeObserver(redraw).observe($("plot"));
redraw();
connect();
poll();
