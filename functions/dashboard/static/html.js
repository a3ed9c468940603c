// Preact for a page whose DOM is also changed by translators and extensions: the page stays correct in spite of them.

import { h, html as parsed, render } from "./vendor/htm-preact.js";

export { useEffect, useErrorBoundary, useMemo, useRef, useState } from "./vendor/htm-preact.js";

// After this many repairs of an element the page gives up: it must not fight an extension for ever.
const MOST_REPAIRS = 3;

const repairs = new WeakMap();

/** Markup whose text is a property of its element, because translators replace text nodes with their own elements. */
export const html = (...template) => owning(parsed(...template));

const isText = (child) => typeof child === "string" || typeof child === "number";
const isBlank = (child) => child === null || child === undefined || typeof child === "boolean";

function owning(child) {
  if (Array.isArray(child)) return child.map(owning);
  if (isText(child)) return /\S/.test(child) ? h("span", { textContent: `${child}` }) : child;
  const { type, props } = child ?? {};
  if (props?.children === undefined) return child;
  const children = [props.children].flat(Infinity).filter((each) => !isBlank(each));
  // A component's own elements will hold its text.
  if (typeof type === "function") children.forEach((each) => isText(each) || owning(each));
  else if (children.every(isText)) {
    delete props.children;
    props.textContent = children.join("");
  } else props.children = owning(props.children);
  return child;
}

/** Renders `view` into `root`, and puts back elements that others remove. */
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
    // A browser without MutationObserver shows the page without repairs.
  }
}

/** Our pinned version of Preact keeps the children of an element or a component in `__k`, and their nodes in `__e`. */
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
      // Translated text may stay. Text that must not be translated, or is gone, is written again.
      const isWrong = text !== undefined && node.textContent !== text && (node.translate === false || !node.textContent);
      if (isWrong && mayRepair(node)) node.textContent = text;
      repair(node, child, restored);
    }
    if (node.parentNode === parent) next = node;
  }
}

const nodesOf = (children) =>
  (children ?? []).flatMap((child) => (typeof child?.type === "function" ? nodesOf(child.__k) : child?.__e ? child : []));

/** A dialog that was removed and put back is no longer modal: it must be opened again. */
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
