// Numbers, times and parameters as people read them, times in the reader's own zone.

const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const SHORT = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/**
 * A number of the API, which sends nan and infinity as text.
 * @param {unknown} value
 * @returns {number} NaN for what is no number
 */
export function numeric(value) {
  if (typeof value === "number") return value;
  if (value === "inf") return Infinity;
  return value === "-inf" ? -Infinity : NaN;
}

/**
 * @param {unknown} value
 * @param {number} [digits] significant digits of a fraction
 * @returns {string} empty for null
 */
export function shown(value, digits = 4) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return typeof value === "object" ? JSON.stringify(value) : String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  const size = Math.abs(value);
  if (size >= 10 ** (digits - 1) && size < 1e6) return String(Math.round(value));
  const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(digits - 1) : value.toPrecision(digits);
  return text.includes("e") ? text.replace(/\.?0+e/, "e").replace("e+", "e") : text.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

/**
 * A duration: 3.2 s, 45 s, 4:05, 1:02:03 or 2 d 3 h.
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/**
 * A time of the API to the second.
 * @param {string | null | undefined} time
 */
export const moment = (time) => (time ? MOMENT.format(new Date(time)) : "");

/**
 * A time of the API to the minute.
 * @param {string | null | undefined} time
 */
export const shortMoment = (time) => (time ? SHORT.format(new Date(time)) : "");

/**
 * How long ago a time was: just now, 12 s ago, 5 min ago, 3 h ago, 2 d ago.
 * @param {string | null | undefined} time
 */
export function ago(time) {
  if (!time) return "";
  const seconds = Math.max(0, (Date.now() - new Date(time).getTime()) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.round(seconds)} s ago`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86400)} d ago`;
}

/**
 * A size of a file.
 * @param {number} bytes
 */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit ? value.toPrecision(3) : value} ${units[unit]}`;
}

/**
 * @param {number} n
 * @param {string} noun
 */
export const counted = (n, noun) => `${n.toLocaleString()} ${noun}${n === 1 ? "" : "s"}`;

/** @param {number} share */
export const percent = (share) => `${Math.round(100 * share)} %`;
