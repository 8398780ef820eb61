"use strict";
// The page is complete without this file. It adds the charts over time, sorting, definitions on hover, and live data.
(() => {
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  root.classList.add("scripted");
  let data = JSON.parse(byId("data").textContent);

  // ------------------------------------------------------------------------------------------------- words

  const twoDigits = (value) => Number(value.toPrecision(2));
  const duration = (seconds) => {
    if (seconds === null || seconds === undefined) return "–";
    const [size, unit] = [[1, "s"], [1e-3, "ms"]].find(([each]) => twoDigits(seconds) >= each) || [1e-6, "µs"];
    return `${twoDigits(seconds / size).toLocaleString("en")} ${unit}`;
  };
  const percent = (share) => (share === null ? "–" : share && share < 0.01 ? "< 0.01 %" : `${share ? share.toFixed(share < 10 ? 2 : 1) : 0} %`);
  const two = (number) => String(number).padStart(2, "0");
  // The time of the ERP's machine, wherever the page is read: its clock as if it were that of the reader.
  const clock = (seconds) => {
    const at = new Date(seconds * 1000);
    return new Date(at.getTime() + data.zone * 1000 + at.getTimezoneOffset() * 60000);
  };
  const moment = (seconds) => {
    const at = clock(seconds);
    const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
    return data.times.length * data.step > 86400 ? `${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}` : time;
  };

  // ------------------------------------------------------------------------------------------ charts over time

  const choice = byId("module");
  const TALL = 200; // pixels
  const charts = [];
  let focused = null;

  const chosen = () => data.series.find((each) => each.name === choice.value) || data.whole;
  const shares = (series) => series.calls.map((calls, at) => (calls ? (100 * series.failures[at]) / calls : null));
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  const offer = () => {
    const before = choice.value;
    choice.replaceChildren(...[data.whole, ...data.series].map((each) => new Option(each.name)));
    choice.value = [...choice.options].some((each) => each.value === before) ? before : data.whole.name;
  };

  const draw = () => {
    for (const chart of charts.splice(0)) chart.destroy();
    const one = chosen();
    const others = data.series.filter((each) => each !== one);
    plot("plot-failures", others.map(shares), shares(one), { range: (_, __, most) => [0, Math.max(most || 0, 1) * 1.1] }, percent);
    plot("plot-p95", others.map((each) => each.p95), one.p95, { distr: 3 }, duration);
  };

  // A line needs two neighbours: what stands alone is a point.
  const alone = (chart, number) => chart.data[number].reduce((found, value, at, values) => (
    value !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null ? [...found, at] : found), []);

  const plot = (id, others, one, scale, label) => {
    const place = byId(id);
    const font = `11px ${colour("--sans")}`;
    const axis = { stroke: colour("--muted"), font, grid: { stroke: colour("--hair"), width: 1 }, ticks: { show: false } };
    // Of a logarithmic axis, uPlot draws a line at 2, 3, 4 …: here at powers of ten.
    const tens = (_, values) => values.map((value) => (Math.abs(Math.log10(value) % 1) < 1e-6 ? value : null));
    const decades = scale.distr === 3 ? { filter: tens, grid: { ...axis.grid, filter: tens } } : {};
    const known = [...others, one].some((values) => values.some((value) => value !== null));
    if (!known) scale = { range: [0, 1] }; // a logarithm of nothing has no range
    const chart = new uPlot({
      width: place.clientWidth, height: TALL, legend: { show: false }, tzDate: clock,
      cursor: { drag: { setScale: false, x: false, y: false }, points: { size: 7, show: (_, at) => at === others.length + 1 ? undefined : false }, sync: { key: "time" } },
      scales: { x: { time: true }, y: scale },
      axes: [
        { ...axis, grid: { show: false }, values: (_, times) => times.map(moment), space: 70, size: 30 },
        { ...axis, ...decades, size: 62, space: 34, values: (_, values) => values.map((value) => (value === null ? "" : label(value))) },
      ],
      series: [
        {},
        ...others.map(() => ({ stroke: colour("--mute-mark"), width: 1, points: { show: false, filter: alone, size: 4, fill: colour("--mute-mark") } })),
        { stroke: colour("--accent"), width: 2, points: { show: false, filter: alone, size: 8, fill: colour("--accent") } },
      ],
      hooks: { setCursor: [(each) => each.cursor.idx !== null && each.cursor.left >= 0 && read(each.cursor.idx)] },
    }, [data.times, ...others, one], place);
    chart.root.setAttribute("aria-hidden", "true");
    charts.push(chart);
  };

  const read = (at) => {
    focused = at;
    const one = chosen();
    if (data.times[at] === undefined) return;
    const numbers = one.calls[at]
      ? `${one.calls[at].toLocaleString("en")} calls, ${one.failures[at].toLocaleString("en")} failed ` +
        `(${percent(shares(one)[at])}), p95 ${duration(one.p95[at])}`
      : "no call";
    byId("readout").textContent = `${moment(data.times[at])} ${one.name}: ${numbers}`;
  };

  const move = (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!steps) return;
    event.preventDefault();
    const last = data.times.length - 1;
    const at = Math.min(Math.max((focused ?? last) + steps, 0), last);
    for (const chart of charts) chart.setCursor({ left: chart.valToPos(data.times[at], "x"), top: 0 }, false);
    read(at);
  };

  const numbers = () => {
    const table = document.querySelector("#slots table");
    if (!table) return;
    const one = chosen();
    table.caption.firstChild.textContent = `${one.name[0].toUpperCase()}${one.name.slice(1)}, ${Math.round(data.step / 60)} minutes a row`;
    [...table.tBodies[0].rows].forEach((row, at) => {
      const share = shares(one)[at];
      const texts = [one.calls[at].toLocaleString("en"), one.failures[at].toLocaleString("en"), percent(share), duration(one.p95[at])];
      texts.forEach((text, cell) => { row.cells[cell + 1].textContent = text; });
      row.cells[3].className = share ? "n bad" : "n none";
    });
  };

  const choose = () => { draw(); numbers(); };
  choice.addEventListener("change", choose);
  for (const id of ["plot-failures", "plot-p95"]) byId(id).addEventListener("keydown", move);
  new ResizeObserver(() => charts.forEach((chart) => chart.setSize({ width: chart.root.parentNode.clientWidth, height: TALL })))
    .observe(byId("plot-failures"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  // On paper everything is light, the canvases too.
  addEventListener("beforeprint", () => { root.classList.add("printing"); draw(); });
  addEventListener("afterprint", () => { root.classList.remove("printing"); draw(); });

  // --------------------------------------------------------------------------------------------------- sorting

  const sorted = {}; // name of a table → [column, direction], for when live data replaces it
  const sort = (table, column, direction) => {
    const value = (row) => {
      const cell = row.cells[column];
      return cell.dataset.v === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.v);
    };
    const rows = [...table.tBodies[0].rows];
    const rank = (one, two) => (one < two ? -1 : one > two ? 1 : 0);
    rows.sort((one, two) => direction * rank(value(one), value(two)));
    table.tBodies[0].append(...rows);
    [...table.tHead.rows[0].cells].forEach((cell, at) => {
      if (at === column) cell.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
      const button = cell.querySelector(".sort");
      if (button) button.textContent = at === column ? (direction > 0 ? "↑" : "↓") : "↕";
    });
  };
  const prepare = () => {
    for (const table of document.querySelectorAll("table[data-sorted]")) {
      const name = table.dataset.sorted;
      [...table.tHead.rows[0].cells].forEach((cell, column) => {
        if (cell.querySelector("svg")) return;
        const button = document.createElement("button");
        button.type = "button";
        button.className = "sort";
        button.textContent = "↕";
        button.setAttribute("aria-label", `Sort by ${cell.textContent.trim()}`);
        button.addEventListener("click", () => {
          const [before, direction] = sorted[name] || [];
          sorted[name] = [column, before === column ? -direction : cell.classList.contains("n") ? -1 : 1];
          sort(table, ...sorted[name]);
        });
        cell.append(button);
      });
      if (sorted[name]) sort(table, ...sorted[name]);
    }
  };

  // ----------------------------------------------------------------------------------------------- definitions

  const tip = byId("tip");
  const hide = () => { tip.hidden = true; };
  const define = (event) => {
    const link = event.target.closest && event.target.closest("a.term");
    if (!link) return tip.contains(event.target) ? undefined : hide();
    const definition = byId(link.hash.slice(1));
    if (!definition) return undefined;
    tip.textContent = definition.textContent;
    tip.hidden = false;
    const place = link.getBoundingClientRect();
    const left = Math.min(place.left, root.clientWidth - tip.offsetWidth - 12);
    const below = place.bottom + tip.offsetHeight + 6 < root.clientHeight;
    tip.style.left = `${Math.max(left, 12) + scrollX}px`;
    tip.style.top = `${(below ? place.bottom + 6 : place.top - tip.offsetHeight - 6) + scrollY}px`;
    link.setAttribute("aria-describedby", "tip");
    return undefined;
  };
  document.addEventListener("mouseover", define);
  document.addEventListener("focusin", define);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  // ------------------------------------------------------------------------------------------------------ live

  const every = Number(document.body.dataset.live || 0) * 1000;
  let paused = false;
  let timer = 0;
  let parts = {};
  const live = byId("live");

  const renew = async () => {
    const response = await fetch(location.href, { cache: "no-store" });
    if (!response.ok) throw new Error(await response.text());
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    const open = new Set([...document.querySelectorAll("details[open]")].map((each) => each.id));
    let changed = false;
    for (const part of fresh.querySelectorAll("[data-part]")) {
      // What has the focus is replaced once it has gone elsewhere.
      if (parts[part.id] === part.innerHTML || byId(part.id).contains(document.activeElement)) continue;
      changed = true;
      parts[part.id] = part.innerHTML;
      for (const details of part.querySelectorAll("details")) details.open = open.has(details.id);
      byId(part.id).replaceChildren(...part.childNodes);
    }
    document.querySelector(".line time").replaceWith(fresh.querySelector(".line time"));
    if (!changed) return;
    data = JSON.parse(fresh.getElementById("data").textContent);
    offer();
    prepare();
    choose();
  };
  const again = async () => {
    if (!paused && !document.hidden) {
      try {
        await renew();
        live.classList.remove("lost");
        live.firstChild.textContent = " · live ";
      } catch (error) {
        live.classList.add("lost");
        live.firstChild.textContent = ` · no new data: ${String(error.message).trim()} `;
      }
    }
    timer = setTimeout(again, every);
  };
  if (every) {
    byId("pause").addEventListener("click", (event) => {
      paused = !paused;
      event.target.textContent = paused ? "Go on" : "Pause";
      live.firstChild.textContent = paused ? " · paused " : " · live ";
    });
    // A page that nobody looks at asks for nothing, and is renewed when somebody does.
    document.addEventListener("visibilitychange", () => { clearTimeout(timer); again(); });
    timer = setTimeout(again, every);
  }

  offer();
  prepare();
  choose();
})();
