// Marrensiel Light: what changes from hour to hour. Every page is complete without it.

(() => {
  "use strict";

  const HOUR = 3_600_000;
  const DAY = 24 * HOUR;
  const ZONE = "Europe/Berlin";

  // --- opening hours ---------------------------------------------------------------

  const CLOSED_DAYS = ["12-24", "12-25", "12-31"];

  /** The hours of a day, [from, to], or null: closed. `month` and `weekday` (Sunday 0) count. */
  function hours(month, day, weekday) {
    const date = `${String(month).padStart(2, "0")}-${String(day).padStart(2, "0")}`;
    if (CLOSED_DAYS.includes(date)) return null;
    if (month >= 4 && month <= 10) return weekday === 1 ? null : [10, 17];
    return weekday === 0 || weekday === 6 ? [11, 16] : null;
  }

  /** A moment as the clock on the museum's wall shows it. */
  function wallClock(moment) {
    const parts = new Intl.DateTimeFormat("en-GB", {
      timeZone: ZONE, year: "numeric", month: "numeric", day: "numeric", hour: "numeric",
      minute: "numeric", hourCycle: "h23",
    }).formatToParts(moment);
    const read = (type) => Number(parts.find((part) => part.type === type).value);
    const [year, month, day] = [read("year"), read("month"), read("day")];
    const weekday = new Date(Date.UTC(year, month - 1, day)).getUTCDay();
    return { month, day, weekday, hour: read("hour") + read("minute") / 60 };
  }

  function openingStatus(now) {
    const { month, day, weekday, hour } = wallClock(now);
    const today = hours(month, day, weekday);
    if (today && hour < today[0]) return `Opens today at ${today[0]}:00`;
    if (today && hour < today[1]) return `Open now, until ${today[1]}:00`;
    for (let ahead = 1; ahead < 8; ahead += 1) {
      const later = new Date(now.getTime() + ahead * DAY);
      const next = wallClock(later);
      const then = hours(next.month, next.day, next.weekday);
      if (then) {
        const name = new Intl.DateTimeFormat("en-GB", { timeZone: ZONE, weekday: "long" });
        return `Closed now. Opens on ${name.format(later)} at ${then[0]}:00`;
      }
    }
    return "Closed now";
  }

  // --- the tide --------------------------------------------------------------------

  // Harmonic constituents of the gauge at Marrensiel: amplitude in metres, speed in degrees
  // an hour, phase in degrees at the epoch, a high water of springs.
  const EPOCH = Date.UTC(2026, 2, 20, 12);
  const MEAN_LEVEL = 1.9;
  const CONSTITUENTS = [
    [1.35, 28.9841042, 0], // M2, the moon
    [0.34, 30.0, 0], // S2, the sun
    [0.22, 28.4397295, 45.7], // N2, the moon's distance
    [0.07, 15.0410686, -40], // K1
    [0.08, 13.9430356, 70], // O1
    [0.06, 57.9682084, -60], // M4, shallow water
  ];

  /** The height of the water above lowest tide, in metres. */
  function height(moment) {
    const elapsed = (moment - EPOCH) / HOUR;
    return CONSTITUENTS.reduce(
      (sum, [amplitude, speed, phase]) =>
        sum + amplitude * Math.cos(((speed * elapsed + phase) * Math.PI) / 180),
      MEAN_LEVEL,
    );
  }

  /** High and low waters from a moment on, to the minute. */
  function turns(from, until) {
    const found = [];
    const step = 60_000;
    for (let moment = from; moment < until; moment += step) {
      const [before, here, after] = [-step, 0, step].map((shift) => height(moment + shift));
      if ((here >= before && here > after) || (here <= before && here < after)) {
        found.push({ moment, height: here, high: here > MEAN_LEVEL });
      }
    }
    return found;
  }

  const clock = new Intl.DateTimeFormat("en-GB", {
    timeZone: ZONE, hour: "2-digit", minute: "2-digit",
  });

  function drawTide(place, now) {
    const width = Math.max(place.clientWidth, 340);
    const [full, top, bottom] = [320, 40, 282];
    const start = Math.floor(now / HOUR) * HOUR - 3 * HOUR;
    const end = start + 27 * HOUR;
    const x = (moment) => ((moment - start) / (end - start)) * width;
    const y = (metres) => bottom - ((metres + 0.8) / 4.8) * (bottom - top);
    const points = [];
    for (let moment = start; moment <= end; moment += HOUR / 4) {
      points.push(`${x(moment).toFixed(1)},${y(height(moment)).toFixed(1)}`);
    }
    const grid = [0, 1, 2, 3, 4].map(
      (metres) =>
        `<path class="grid" d="M0,${y(metres)}H${width}"/>` +
        `<text x="6" y="${y(metres) - 5}">${metres} m</text>`,
    );
    const ticks = [];
    for (let moment = start + 3 * HOUR; moment < end; moment += 6 * HOUR) {
      ticks.push(
        `<text x="${x(moment)}" y="${full - 12}" text-anchor="middle">` +
          `${clock.format(moment)}</text>`,
      );
    }
    const marks = turns(start + HOUR, end - HOUR).map(({ moment, height: metres, high }) => {
      const label = `${clock.format(moment)} · ${metres.toFixed(1)} m`;
      const at = Math.min(Math.max(x(moment), 62), width - 62);
      return (
        `<text class="mark" x="${at}" y="${y(metres) + (high ? -12 : 24)}" ` +
        `text-anchor="middle">${label}</text>`
      );
    });
    place.innerHTML =
      `<svg class="tide-curve" viewBox="0 0 ${width} ${full}" role="img" ` +
      `aria-label="The tide at Marrensiel, from three hours ago to a day ahead">` +
      `<path class="water" d="M0,${bottom}L${points.join("L")}L${width},${bottom}Z"/>` +
      grid.join("") +
      `<path class="line" d="M${points.join("L")}"/>` +
      `<path class="now" d="M${x(now)},${top - 14}V${bottom}"/>` +
      `<circle cx="${x(now)}" cy="${y(height(now))}" r="6"/>` +
      `${marks.join("")}${ticks.join("")}</svg>`;
  }

  function nextHighWater(now) {
    const next = turns(now, now + 14 * HOUR).find((turn) => turn.high);
    return `${clock.format(next.moment)}, ${next.height.toFixed(1)} m`;
  }

  // --- the moon --------------------------------------------------------------------

  const NEW_MOON = Date.UTC(2026, 2, 19, 1, 23);
  const SYNODIC_MONTH = 29.530589 * DAY;
  const PHASES = [
    "New moon", "Waxing crescent", "First quarter", "Waxing gibbous",
    "Full moon", "Waning gibbous", "Last quarter", "Waning crescent",
  ];

  function moonPhase(now) {
    const turn = (now - NEW_MOON) / SYNODIC_MONTH;
    return PHASES[Math.round((turn - Math.floor(turn)) * 8) % 8];
  }

  // --- the page --------------------------------------------------------------------

  const now = new Date();
  const live = {
    open: (place) => { place.textContent = openingStatus(now); },
    "high-water": (place) => { place.textContent = nextHighWater(now.getTime()); },
    moon: (place) => { place.textContent = moonPhase(now.getTime()); },
    tide: (place) => { drawTide(place, now.getTime()); },
  };
  for (const place of document.querySelectorAll("[data-live]")) {
    live[place.dataset.live](place);
  }
})();
