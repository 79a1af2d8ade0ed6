// Elements from plain calls. Text goes in as text nodes alone: nothing here, or anywhere in these pages, parses HTML.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, any>} Props `on…` are listeners, `style` is an object, others are attributes. */

const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const SVG = "http://www.w3.org/2000/svg";

/**
 * Text in which control characters, some of which turn the order of others around, are escapes that one can see.
 * @param {string} text
 * @returns {string}
 */
export function printable(text) {
  return text.replace(UNSEEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * Create an element. Links may only lead to this service.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Props | null} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  give(element, props ?? {});
  append(element, children);
  return element;
}

/**
 * Create an SVG element.
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Props} [props]
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, props, ...children) {
  const element = document.createElementNS(SVG, tag);
  give(element, props ?? {});
  append(element, children);
  return element;
}

/**
 * Put other children in the place of all that an element has.
 * @template {Element} E
 * @param {E} element
 * @param {...(Child | Child[])} children
 * @returns {E}
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

let isPressed = false;
const postponed = /** @type {Map<object, () => void>} */ (new Map());
window.addEventListener("pointerdown", () => (isPressed = true), true);
for (const type of ["pointerup", "pointercancel"]) window.addEventListener(type, () => window.setTimeout(release), true);

/** Do what was put off, once a click has found what it was meant for. */
function release() {
  isPressed = false;
  const all = [...postponed.values()];
  postponed.clear();
  for (const work of all) work();
}

/**
 * Replace elements, but not while the pointer is pressed: a click would miss what is not there any more.
 * @param {object} key the latest work of a key is done
 * @param {() => void} work
 */
export function unlessPressed(key, work) {
  if (isPressed) postponed.set(key, work);
  else work();
}

/**
 * @param {Element} element
 * @param {Props} props
 */
function give(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") styled(/** @type {HTMLElement} */ (element), value);
    else if (name === "value" && "value" in element) element.value = value;
    else if (name === "href" && !/^[/#](?![/\\])|^[/#]$|^\?|^blob:/.test(value)) throw new Error(`a link to ${value}`);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * @param {HTMLElement} element
 * @param {Record<string, string>} style
 */
function styled(element, style) {
  for (const [name, value] of Object.entries(style)) element.style.setProperty(name, value);
}

/**
 * @param {Element} element
 * @param {(Child | Child[])[]} children
 */
function append(element, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : printable(String(child)));
  }
}
