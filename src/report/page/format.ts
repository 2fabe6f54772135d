/** A time as people read it: `200 ms`, `4.1 s`, `3 min 12 s`, `2 h 3 min`, `4 d 2 h`. */
export function duration(seconds: number): string {
  if (Number.isNaN(seconds)) return "–";
  if (seconds < 0.0005) return "0 s";
  if (seconds < 0.9995) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (Number.isInteger(seconds) && seconds < 60) return `${seconds} s`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, "min", "s");
  if (whole < 86_400) return pair(Math.round(whole / 60), 60, "h", "min");
  return pair(Math.round(whole / 3600), 24, "d", "h");
}

function pair(value: number, base: number, large: string, small: string): string {
  const rest = value % base;
  return rest === 0 ? `${Math.floor(value / base)} ${large}` : `${Math.floor(value / base)} ${large} ${rest} ${small}`;
}

const numbers = new Intl.NumberFormat("en");

export function count(value: number): string {
  return numbers.format(value);
}

/** A share of a whole, with one place where that tells more. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return "–";
  const share = (100 * part) / whole;
  const fine = (share > 0 && share < 10) || (share > 99 && share < 100);
  return `${fine ? share.toFixed(1) : Math.round(share)} %`;
}

const dateTime = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** A moment in the reader's time zone. */
export function moment(secondsSince1970: number): string {
  return dateTime.format(secondsSince1970 * 1000);
}

const dayOnly = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const timeOnly = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** A moment beside an axis: the day, or the time of day where that tells more. */
export function tick(secondsSince1970: number, showTime: boolean): string {
  const date = secondsSince1970 * 1000;
  return showTime ? `${timeOnly.format(date)}\n${dayOnly.format(date)}` : dayOnly.format(date);
}

const stepTitles: Readonly<Record<string, string>> = {
  directories: "Directories",
  prep_script: "prep_script",
  queue: "Queue",
  login: "Login shell",
  pull: "Image pull",
  trial: "Image trial",
  archive: "Image archive",
  container: "Container start",
  script: "Script",
  end: "Container end",
  containers: "Containers removed",
  processes: "Processes ended",
  files: "Files removed",
};

/** The name of a step for people. */
export function stepTitle(name: string): string {
  return Object.hasOwn(stepTitles, name) ? (stepTitles[name] ?? name) : name;
}
