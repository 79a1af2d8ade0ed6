// JSON values written as YAML 1.2, as people write definitions: short lists and objects on one line.

const LINE = 100;
const PLAIN = /^[A-Za-z_][A-Za-z0-9_./ -]*$/;
const WORDS = /^(true|false|null|yes|no|on|off|y|n|nan|inf)$/i;

/**
 * @param {any} value an object
 * @returns {string}
 */
export function asYaml(value) {
  return `${block(value, "").join("\n")}\n`;
}

/**
 * @param {any} value
 * @param {string} indent
 * @returns {string[]}
 */
function block(value, indent) {
  if (Array.isArray(value)) return value.flatMap((one) => item(one, indent));
  return Object.entries(value).flatMap(([key, one]) => entry(scalar(key), one, indent));
}

/**
 * @param {string} key
 * @param {any} value
 * @param {string} indent
 */
function entry(key, value, indent) {
  const line = `${indent}${key}: ${flow(value)}`;
  if (!isLarge(value) || (line.length <= LINE && !holdsObjects(value))) return [line];
  return [`${indent}${key}:`, ...block(value, `${indent}  `)];
}

/**
 * @param {any} value
 * @param {string} indent
 */
function item(value, indent) {
  const line = `${indent}- ${flow(value)}`;
  if (!isLarge(value) || line.length <= LINE) return [line];
  const [first, ...rest] = block(value, `${indent}  `);
  return [`${indent}- ${first.trimStart()}`, ...rest];
}

/** @param {any} value */
const isLarge = (value) => value !== null && typeof value === "object" && Object.keys(value).length > 0;

/** @param {any} value whether any of its own values is an object, which reads better on lines of its own */
const holdsObjects = (value) => isLarge(value) && Object.values(value).some((one) => isLarge(one) && !Array.isArray(one));

/**
 * @param {any} value
 * @returns {string}
 */
function flow(value) {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (value !== null && typeof value === "object") return `{${Object.entries(value).map(([key, one]) => `${scalar(key)}: ${flow(one)}`).join(", ")}}`;
  return scalar(value);
}

/** @param {any} value */
function scalar(value) {
  if (typeof value !== "string") return number(value);
  return PLAIN.test(value) && !WORDS.test(value) && value === value.trim() ? value : JSON.stringify(value);
}

/** @param {any} value */
function number(value) {
  const text = JSON.stringify(value);
  // YAML 1.1, which many programs read, takes 1e-5 for a text: a fraction makes it a number in both.
  return typeof value === "number" && /^-?\d+e/.test(text) ? text.replace("e", ".0e") : text;
}
