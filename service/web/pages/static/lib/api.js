// Calls of the public API under /v1, the only thing that these pages get their data from.

const UNCHANGED = 304;
const MAX_KEPT = 30;
const MAX_KEPT_CHARACTERS = 1_000_000;
/** The newest answers. A browser keeps none, because the service forbids copies on disk. */
const kept = /** @type {Map<string, {etag: string, text: string}>} */ (new Map());

/** @typedef {Record<string, string | number | boolean | string[] | null | undefined>} Query lists are repeated */

/** A refusal of the service: its problem details (RFC 9457). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{detail?: string, title?: string, code?: string, errors?: {field: string, message: string, line?: number}[]}} problem
   */
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `the service answered ${status}`);
    this.status = status;
    this.code = problem.code ?? "";
    this.errors = problem.errors ?? [];
  }
}

/**
 * Read from the service. Raises ApiError for a refusal and TypeError without a connection.
 * @param {string} path
 * @param {Query} [query] entries without a value are left out
 * @returns {Promise<any>}
 */
export async function get(path, query = {}) {
  const address = addressOf(path, query);
  const known = kept.get(address);
  const response = await call("GET", address, undefined, undefined, known?.etag);
  if (known && response.status === UNCHANGED) return JSON.parse(known.text);
  const text = await response.text();
  keep(address, response.headers.get("ETag"), text);
  return JSON.parse(text);
}

/**
 * Keep an answer, which the service need not send again while it is the same.
 * @param {string} address
 * @param {string | null} etag
 * @param {string} text
 */
function keep(address, etag, text) {
  kept.delete(address);
  if (!etag || text.length > MAX_KEPT_CHARACTERS) return;
  kept.set(address, { etag, text });
  if (kept.size > MAX_KEPT) kept.delete(/** @type {string} */ (kept.keys().next().value));
}

/**
 * Change something. Raises as `get` does.
 * @param {"POST" | "PATCH" | "DELETE"} method
 * @param {string} path
 * @param {unknown} [body] sent as JSON
 * @returns {Promise<any>} the answer; null if it is empty
 */
export async function send(method, path, body) {
  const response = await call(method, path, body === undefined ? undefined : JSON.stringify(body), "application/json");
  return response.status === 204 ? null : response.json();
}

/**
 * Call with a body as it is.
 * @param {string} method
 * @param {string} address
 * @param {string} [body]
 * @param {string} [type] media type of the body
 * @param {string} [etag] of an answer that need not be sent again
 * @returns {Promise<Response>}
 */
export async function call(method, address, body, type, etag) {
  const headers = /** @type {Record<string, string>} */ ({ Accept: "application/json" });
  if (body !== undefined && type) headers["Content-Type"] = type;
  if (etag) headers["If-None-Match"] = etag;
  const response = await fetch(address, { method, headers, body, cache: "no-store" });
  if (response.ok || (etag && response.status === UNCHANGED)) return response;
  if (response.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  throw new ApiError(response.status, await problemOf(response));
}

/**
 * All pages of a list.
 * @param {string} path
 * @param {string} key the field of an answer that has the entries
 * @param {Query} [query]
 * @returns {Promise<any[]>}
 */
export async function getAll(path, key, query = {}) {
  const found = [];
  let cursor = null;
  do {
    const page = /** @type {any} */ (await get(path, { limit: 1000, ...query, cursor }));
    found.push(...page[key]);
    cursor = page.next_cursor;
  } while (cursor);
  return found;
}

/**
 * @param {string} path
 * @param {Query} query
 * @returns {string}
 */
export function addressOf(path, query) {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") given.append(name, String(one));
    }
  }
  return given.size ? `${path}?${given}` : path;
}

/**
 * The path of a study in the API, or of something of it.
 * @param {string} name
 * @param {string} [rest]
 */
export const studyPath = (name, rest = "") => `/v1/studies/${encodeURIComponent(name)}${rest}`;

/** @param {Response} response */
async function problemOf(response) {
  try {
    return await response.json();
  } catch (error) {
    return { detail: `the service answered ${response.status} ${response.statusText} without saying why: ${error}` };
  }
}

/**
 * What went wrong, in words.
 * @param {unknown} error
 * @returns {string}
 */
export function reasonOf(error) {
  if (!(error instanceof ApiError)) return error instanceof Error ? `the page could not load or draw this: ${error.message}` : String(error);
  const all = error.errors.map((one) => (one.field ? `${one.field}: ${one.message}` : one.message));
  return all.length ? all.join("\n") : error.message;
}
