// SPDX-License-Identifier: Apache-2.0

// The pages of the box office: the shop, and the live page. No framework, nothing to build.

const $ = (id) => document.getElementById(id);

// el makes an element; what is not an attribute is text or children, so nothing is ever read as HTML.
function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, "");
    else if (value !== false && value != null) e.setAttribute(name, value);
  }
  e.append(...children);
  return e;
}

// text changes a text only when it differs, so that screen readers and selections are left alone.
function text(e, value) {
  if (e.textContent !== String(value)) e.textContent = value;
}

// keyed keeps one child of parent for every item, in order, and updates it in place: focus and hover stay.
function keyed(parent, items, key, make, update) {
  const old = new Map([...parent.children].map((e) => [e.dataset.key, e]));
  items.forEach((item, i) => {
    const k = String(key(item));
    const e = old.get(k) ?? make(item);
    e.dataset.key = k;
    old.delete(k);
    if (parent.children[i] !== e) parent.insertBefore(e, parent.children[i] ?? null);
    update(e, item);
  });
  old.forEach((e) => e.remove());
}

// say shows a message for a while, and to screen readers.
function say(message, kind = "") {
  const p = el("p", { class: `notice ${kind}` }, message);
  $("messages").replaceChildren(p);
  setTimeout(() => p.remove(), 8000);
}

const money = (cents) => (cents / 100).toFixed(2);
const seconds = (ms) => (ms < 0 ? "unknown" : `${(ms / 1000).toFixed(1)} s`);

// call asks a service. A refusal is thrown as the problem that the service described (RFC 9457).
async function call(method, path, body, headers = {}) {
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (response.status === 401 && document.body.dataset.page === "shop") leave();
  const is = response.headers.get("Content-Type") ?? "";
  const data = is.includes("json") ? await response.json() : {};
  if (!response.ok) {
    const why = data.detail || data.title || `the answer was ${response.status}`;
    throw Object.assign(new Error(why), { status: response.status, code: data.code });
  }
  return { data, headers: response.headers };
}

// leave goes to the sign-in page: the session of all tabs has ended.
function leave() {
  location.replace("/signin?left");
}

// staleness reads the header Vidimus-Staleness (RFC 9651), such as 412;pos="main.1:7";read-only.
function staleness(header) {
  const [ms, ...parameters] = (header ?? "").split(";").map((s) => s.trim());
  return { ms: /^[0-9]+$/.test(ms) ? Number(ms) : -1, readOnly: parameters.includes("read-only") };
}

// ---- the shop

const beatEvery = 2000; // the edge would be content with 30 s; a sample that people watch beats more often

function shop() {
  let account = null;
  let programme = null;
  let held = 0; // timer for the next hold that runs out
  let seats = { ms: -1, readOnly: false, at: 0 }; // how stale the seats service was, and when it said so

  async function loadAccount() {
    const { data } = await call("GET", "/api/account");
    account = data;
    drawAccount();
    if (programme) drawSeats();
  }

  async function loadSeats() {
    const { data, headers } = await call("GET", "/api/seats");
    programme = data;
    seats = { ...staleness(headers.get("Vidimus-Staleness")), at: performance.now() };
    $("read-only").hidden = !seats.readOnly;
    text($("staleness"), seats.ms < 0 ? "a while" : seconds(seats.ms));
    text($("seats-staleness"), seconds(seats.ms));
    text($("position"), data.position);
    drawSeats();
    const ends = data.shows.flatMap((show) => show.rows.flatMap((row) => row.seats)).filter((s) => s.held_ms > 0);
    clearTimeout(held);
    if (ends.length) held = setTimeout(refresh, Math.min(...ends.map((s) => s.held_ms)) + 50);
  }

  const refresh = () => loadSeats().catch((e) => say(e.message, "bad"));

  function drawAccount() {
    if (document.activeElement !== $("permit")) $("permit").value = account.permit;
    if (document.activeElement !== $("limit")) $("limit").value = money(account.limit);
    text($("subject-version"), account.version);
    text($("session"), `version ${account.session_version} of ${account.session.slice(0, 4)}…`);
  }

  function drawSeats() {
    const part = account && account.limit > 0 ? Math.min(programme.spent / account.limit, 1) : 1;
    $("spent").style.setProperty("--part", part);
    $("spent").classList.toggle("warn", part > 0.8);
    $("spent").setAttribute("aria-valuenow", programme.spent / 100);
    if (account) $("spent").setAttribute("aria-valuemax", Math.max(account.limit, programme.spent) / 100);
    text($("left"), account ? `${money(programme.spent)} spent of ${money(account.limit)}` : "");
    keyed($("shows"), programme.shows, (show) => show.id, makeShow, drawShow);
    const mine = programme.shows.flatMap((show) =>
      show.rows.flatMap((row) => row.seats.filter((s) => s.is === "mine").map((s) => ({ show, row, ...s }))));
    keyed($("held"), mine, (s) => s.id, makeHeld, drawHeld);
    if (!mine.length) $("held").replaceChildren(el("li", { class: "hint" }, "Nothing yet. Choose a seat."));
  }

  function makeShow(show) {
    return el("section", { class: "card show", "aria-label": show.title },
      el("header", {},
        el("div", {}, el("h2", {}, show.title), el("p", { class: "hint" }, `${show.venue} · ${show.state}`)),
        el("p", { class: "permit hint" })),
      el("div", { class: "rows" }));
  }

  function drawShow(e, show) {
    const allowed = account && account.permit === show.state;
    text(e.querySelector(".permit"), allowed || !account ? "" : `needs a permit for ${show.state}`);
    keyed(e.querySelector(".rows"), show.rows, (row) => row.name, (row) => {
      const r = el("div", { class: "row", role: "group", "aria-label": `Row ${row.name}` });
      r.style.setProperty("--width", row.seats.length);
      return r;
    }, (r, row) => {
      const cells = [{ head: row.name }, ...row.seats, { price: row.price }];
      keyed(r, cells, (c) => c.id ?? (c.head ? "head" : "price"), (c) =>
        c.head ? el("b", { "aria-hidden": "true" }, c.head)
          : c.id ? el("button", { type: "button", onclick: (event) => toggle(event.currentTarget) }, String(c.number))
            : el("span", {}, money(c.price)),
      (b, c) => {
        if (c.id) drawSeat(b, row, c);
      });
    });
  }

  const says = { free: "free", mine: "held for you, press to give back", held: "held by somebody else", bought: "yours", sold: "sold" };

  function drawSeat(b, row, s) {
    b.className = `seat ${s.is}`;
    b.dataset.id = s.id;
    b.dataset.is = s.is;
    b.disabled = seats.readOnly || (s.is !== "free" && s.is !== "mine");
    b.setAttribute("aria-label", `Row ${row.name} seat ${s.number}, ${money(row.price)}, ${says[s.is]}`);
  }

  function makeHeld(s) {
    // The line goes away when its button is pressed; the focus shall not.
    const press = (what) => act(s.id, what).then(() => $("held-title").focus());
    const name = `${s.row.name}${s.number}, ${s.show.title}`;
    return el("li", {},
      el("span", {}, `${s.row.name}${s.number} · ${money(s.row.price)}`, el("small", {}, s.show.title)),
      el("button", { class: "small", "aria-label": `Give back ${name}`, onclick: () => press("release") }, "Give back"),
      el("button", { class: "small main", "aria-label": `Buy ${name}`, onclick: () => press("buy") }, "Buy"));
  }

  // Buying asks the authority, and so goes on.
  function drawHeld(li) {
    li.querySelector("button").disabled = seats.readOnly;
  }

  const toggle = (b) => act(b.dataset.id, b.dataset.is === "mine" ? "release" : "hold");

  async function act(id, what) {
    try {
      // Said twice, it happens once: the edge answers a repeated key with the first answer.
      const key = { "Idempotency-Key": crypto.randomUUID() };
      const { data } = await call("POST", `/api/seats/${id}/${what}`, undefined, key);
      if (what === "buy") say(`Seat ${data.name} is yours.`);
    } catch (e) {
      say(e.code === "stale" ? lostTouch(what) : e.message, "bad");
    }
    refresh();
  }

  // lostTouch says why the seats service can do nothing now: what it knew is too old to act on.
  function lostTouch(what) {
    const since = seats.ms < 0 ? "a while" : seconds(seats.ms + performance.now() - seats.at);
    const [stands, done] = what === "release" ? ["you are still signed in", "given back"] : ["your permit still stands", "held"];
    return `Not now: the seats service has not heard from the authority for ${since.replace(" ", "\u00a0")} and cannot know whether ${stands}. Nothing was ${done}.`;
  }

  $("account").addEventListener("submit", async (event) => {
    event.preventDefault();
    const change = {};
    if ($("permit").value !== account.permit) change.permit = $("permit").value;
    const limit = Math.round(Number($("limit").value) * 100);
    if (limit !== account.limit) change.limit = limit;
    if (!Object.keys(change).length) return say("Nothing to save.");
    try {
      const { data } = await call("PATCH", "/api/account", change, { "If-Match": `"${account.version}"` });
      account = data;
      document.activeElement.blur();
      say("Saved.");
    } catch (e) {
      say(e.message, "bad");
      if (e.status === 412) document.activeElement.blur();
    }
    loadAccount();
  });

  // The heartbeat of this tab: it says what the tab shows, and is told whether that was changed elsewhere.
  async function beat() {
    let next = beatEvery;
    try {
      const shows = { seen_ver: account?.session_version ?? 0, seen_sver: account?.version ?? 0, tab: tabName };
      const { data } = await call("POST", "/.vidimus/heartbeat", shows);
      next = Math.min(next, data.next_ms);
      if (account && data.stale) {
        const before = account.version;
        await loadAccount();
        if (account.version > before) say("Your account was changed in another tab.");
      }
    } catch (e) {
      if (e.status !== 401) console.warn("heartbeat:", e.message);
    }
    setTimeout(beat, next);
  }

  const tabName = crypto.randomUUID();
  loadAccount().catch((e) => say(e.message, "bad"));
  refresh();
  follow("/api/seats/events", refresh);
  setInterval(refresh, beatEvery); // says how fresh the seats are, also when none changes
  beat();
}

// follow calls back for each event of a stream. The browser connects again when the stream ends.
function follow(path, changed) {
  const source = new EventSource(path);
  source.onmessage = (event) => changed(event.data);
  addEventListener("pagehide", () => source.close());
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(path, changed), 2000);
  };
}

// ---- the live page

function live() {
  follow("/live/events", (data) => drawLive(JSON.parse(data)));
}

function drawLive(now) {
  text($("authority-url"), now.authority.url);
  text($("authority-log"), `${now.authority.log}, epoch ${now.authority.epoch}`);
  text($("authority-head"), now.authority.head);
  text($("authority-sessions"), now.subjects.flatMap((s) => s.sessions).filter((s) => !s.ended).length);
  keyed($("verifiers"), now.verifiers, (v) => v.name, makeVerifier, drawVerifier);
  if (now.subjects.length) {
    if (!$("subjects").querySelector(".subject")) $("subjects").replaceChildren();
    keyed($("subjects"), now.subjects, (s) => s.key, makeSubject, drawSubject);
  } else {
    $("subjects").replaceChildren(el("p", { class: "hint" }, "Nobody has signed in yet."));
  }
  keyed($("events"), now.events, (e) => e.position, (e) =>
    el("tr", {}, el("td", { class: "number" }, String(e.position)), el("td", {}, e.type),
      el("td", { class: "stream mono", title: e.stream }, e.stream), el("td", { class: "number" }, String(e.version))),
  () => {});
}

const scale = 8000; // milliseconds that the bar of staleness shows

function makeVerifier(v) {
  const meter = el("div", { class: "meter", role: "meter", "aria-label": "Staleness", "aria-valuemin": 0, "aria-valuemax": scale });
  meter.append(el("i"));
  for (const r of v.routes.filter((r) => r.max_ms)) {
    const mark = el("u");
    mark.style.setProperty("--at", r.max_ms / scale);
    meter.append(mark);
  }
  const pause = v.can_pause && el("button", {
    class: "small", onclick: () => order(`/live/verifiers/${v.name}/pause`, `The feed of ${v.name} pauses.`),
  });
  return el("article", { class: "card verifier", "aria-label": v.name },
    el("header", {}, el("span", { class: "dot", "aria-hidden": "true" }), el("h3", {}, v.name), el("span", { class: "hint link" })),
    el("p", { class: "age" }), meter, el("ul", { class: "routes" }),
    el("dl", { class: "facts" }), el("div", { class: "heard" }, el("h4", {}, "Last verdicts"), el("ul", { class: "verdicts" })), pause || "");
}

// meaning says what the figures of a service are.
const meaning = {
  Through: "The place in the log up to which this service has applied every change",
  Floors: "How many scopes it remembers a change of, and the position below which it believes no passport at all",
  "Gaps, resyncs": "How often changes were missing in its feed, and how often it began anew from a snapshot",
  "Passports refused": "Since it started, of all requests",
};

function drawVerifier(e, v) {
  const age = v.staleness_ms;
  const worst = Math.max(...v.routes.map((r) => ["open", "asks", "read only", "closed"].indexOf(r.now)));
  const meter = e.querySelector(".meter");
  e.querySelector(".dot").classList.toggle("on", v.connected);
  text(e.querySelector(".link"), v.paused_ms > 0 ? `feed paused for ${seconds(v.paused_ms)}` : v.connected ? "feed connected" : "no feed");
  const big = e.querySelector(".age");
  if (!big.firstChild) big.append(el("span"), " ", el("small", {}, "stale at most"));
  text(big.firstChild, seconds(age));
  meter.style.setProperty("--part", age < 0 ? 1 : Math.min(age / scale, 1));
  meter.setAttribute("aria-valuenow", age < 0 ? scale : Math.min(age, scale));
  meter.setAttribute("aria-valuetext", seconds(age));
  meter.className = `meter ${worst >= 3 ? "bad" : worst >= 1 && age > 500 ? "warn" : ""}`;
  keyed(e.querySelector(".routes"), v.routes, (r) => r.name, (r) =>
    el("li", {}, el("span", {}, r.name, " ", el("span", { class: "hint" }, r.max_ms ? `up to ${r.max_ms / 1000} s` : "")), el("span", { class: "tag" })),
  (li, r) => {
    const tag = li.lastChild;
    text(tag, r.now);
    tag.className = `tag ${r.now === "closed" ? "bad" : r.now === "open" ? "" : "warn"}`;
  });
  const facts = { Through: v.through, Floors: v.floors, "Gaps, resyncs": `${v.gaps}, ${v.resyncs}` };
  if (v.verdicts.length) facts["Passports refused"] = v.refused;
  keyed(e.querySelector(".facts"), Object.entries(facts).flatMap(([k, x]) => [{ k, t: "dt", x: k }, { k: `${k}=`, t: "dd", x }]),
    (f) => f.k, (f) => el(f.t, { title: meaning[f.k] }), (f, { x }) => text(f, x));
  keyed(e.querySelector(".verdicts"), v.verdicts, (x) => x.id, (x) =>
    el("li", {}, el("span", { title: x.path }, `${x.method} ${x.path}`), el("span", { class: `tag ${x.status >= 400 ? "bad" : ""}` }, `${x.status} · ${x.verdict === "good" ? "passport good" : x.verdict}`)),
  () => {});
  e.querySelector(".heard").hidden = !v.verdicts.length;
  const pause = e.querySelector(":scope > button");
  if (pause) {
    text(pause, `Pause its feed for ${v.pause_ms / 1000} s`);
    pause.disabled = v.paused_ms > 0;
  }
}

function makeSubject(s) {
  return el("article", { class: "card subject", "aria-label": s.name },
    el("header", {}, el("div", {}, el("h3", {}, s.name), el("p", { class: "hint" })),
      el("button", { class: "small danger", onclick: () => order(`/live/subjects/${s.key}/revoke`, `All sessions of ${s.name} are revoked.`) }, "Revoke all")),
    el("div", { class: "sessions" }));
}

function drawSubject(e, s) {
  text(e.querySelector(".hint"), `version ${s.version} · ${s.state}`);
  e.querySelector("header button").disabled = s.sessions.every((x) => x.ended);
  keyed(e.querySelector(".sessions"), s.sessions, (x) => x.id, (x) =>
    el("div", { class: "session" }, el("span", {}, el("span", { class: "mono" }, `${x.id.slice(0, 8)}…`), " ", el("span", { class: "state" }), el("small", {})),
      el("button", { class: "small danger", "aria-label": `Revoke session ${x.id.slice(0, 8)} of ${s.name}`, onclick: () => order(`/live/sessions/${x.id}/revoke`, "The session is revoked.") }, "Revoke")),
  (r, x) => {
    r.classList.toggle("ended", Boolean(x.ended));
    text(r.querySelector(".state"), x.ended ? x.ended : `version ${x.version}, handle ${x.generation}`);
    text(r.querySelector("small"), `${x.device || "unknown device"}, since ${new Date(x.started).toLocaleTimeString()}`);
    r.querySelector("button").hidden = Boolean(x.ended);
  });
}

async function order(path, done) {
  try {
    await call("POST", path);
    say(done);
  } catch (e) {
    say(e.message, "bad");
  }
}

({ shop, live, signin() {} })[document.body.dataset.page]?.();
