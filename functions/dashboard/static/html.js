// Preact for a page that is not alone in its DOM: what is shown stays true though translators and extensions change it.

import { h, html as parsed, render } from "./vendor/htm-preact.js";

export { useEffect, useErrorBoundary, useMemo, useRef, useState } from "./vendor/htm-preact.js";

// An extension that takes an element out more often than this may keep it: the page must not fight for ever.
const MOST_REPAIRS = 3;

const repairs = new WeakMap();

/** Markup in which text is a property of its element: a translator puts elements of its own in the place of text nodes. */
export const html = (...template) => owning(parsed(...template));

const isText = (child) => typeof child === "string" || typeof child === "number";
const isBlank = (child) => child === null || child === undefined || typeof child === "boolean";

function owning(child) {
  if (Array.isArray(child)) return child.map(owning);
  if (isText(child)) return /\S/.test(child) ? h("span", { textContent: `${child}` }) : child;
  const { type, props } = child ?? {};
  if (props?.children === undefined) return child;
  const children = [props.children].flat(Infinity).filter((each) => !isBlank(each));
  // The elements of a component own the text that it is given.
  if (typeof type === "function") children.forEach((each) => isText(each) || owning(each));
  else if (children.every(isText)) {
    delete props.children;
    props.textContent = children.join("");
  } else props.children = owning(props.children);
  return child;
}

/** Renders `view` into `root`, and from then on puts back what others take out. */
export function show(view, root) {
  render(view, root);
  const watch = (records) => {
    const restored = new Set();
    repair(root, root.__k, restored);
    if (restored.size) root.querySelectorAll("dialog[open]").forEach(reopen);
    for (const { removedNodes, addedNodes } of records)
      if ([...removedNodes].some((node) => restored.has(node))) addedNodes.forEach((node) => restored.has(node) || node.remove());
  };
  try {
    new MutationObserver(watch).observe(root, { childList: true, characterData: true, subtree: true });
  } catch {
    // A browser that lets nothing be watched shows the page all the same.
  }
}

/** Preact, whose file is pinned, keeps the children of an element or a component in `__k`, and their nodes in `__e`. */
function repair(parent, { __k: children }, restored) {
  let next = null;
  for (const child of nodesOf(children).reverse()) {
    const { type, props, __e: node } = child;
    if (!node.isConnected && parent.isConnected && mayRepair(node)) {
      parent.insertBefore(node, next);
      restored.add(node);
    }
    if (type) {
      const { textContent: text } = props;
      // Words may be translated; what must not be, and what is gone, is written again.
      const isWrong = text !== undefined && node.textContent !== text && (node.translate === false || !node.textContent);
      if (isWrong && mayRepair(node)) node.textContent = text;
      repair(node, child, restored);
    }
    if (node.parentNode === parent) next = node;
  }
}

const nodesOf = (children) =>
  (children ?? []).flatMap((child) => (typeof child?.type === "function" ? nodesOf(child.__k) : child?.__e ? child : []));

/** One that was out of the page for a moment is no longer above it. */
function reopen(dialog) {
  if (!dialog.showModal) return;
  dialog.close();
  dialog.showModal();
}

function mayRepair(node) {
  const count = (repairs.get(node) ?? 0) + 1;
  repairs.set(node, count);
  return count <= MOST_REPAIRS;
}
