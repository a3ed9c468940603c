// A form for a job type's parameters, from its JSON Schema.

import { html } from "./html.js";
import { parse, write } from "./exact.js";
import { label } from "./format.js";

/**
 * `[{name, kind, title, description, required, initial, schema}]`. Kinds: boolean, integer, number, choice, text, and
 * json for all other schemas. `values` come before the schema's own defaults.
 */
export function fieldsOf(schema, values = {}) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, given]) => {
    const of = resolved(given, schema);
    const kind = kindOf(of);
    return {
      name,
      kind,
      schema: of,
      title: given.title ?? of.title ?? label(name),
      description: given.description ?? of.description,
      required: required.has(name),
      initial: textOf(kind, (Object.hasOwn(values, name) ? values[name] : undefined) ?? given.default ?? of.default),
    };
  });
}

/**
 * The parameters to send, as the form shows them, typed by the user or filled in by the browser. Empty fields are left
 * out. Throws an Error for a value that is not valid JSON; its message is shown to the user.
 */
export function paramsOf(fields, form) {
  const filled = fields.flatMap(({ name, kind, title }) => {
    const { checked, value } = form.elements[`param-${name}`];
    if (kind === "boolean") return [[name, checked]];
    return (kind === "text" ? value : value.trim()) === "" ? [] : [[name, parsed(kind, value, title)]];
  });
  return Object.fromEntries(filled);
}

/** A field starts afresh when its schema changes, so that no value of the old schema is sent. */
export const Fields = ({ fields }) => fields.map((field) => html`<${Field} key=${JSON.stringify(field)} field=${field} />`);

function Field({ field }) {
  const id = `param-${field.name}`;
  const hint = field.description && `${id}-hint`;
  const described = field.description && html`<p id=${hint} class="hint">${field.description}</p>`;
  const title = html`<label for=${id}>${field.title}${!field.required && field.kind !== "boolean" && html` <span class="quiet">optional</span>`}</label>`;
  if (field.kind === "boolean")
    return html`
      <div class="field switch">
        <input id=${id} type="checkbox" defaultChecked=${field.initial} aria-describedby=${hint} />
        <div>${title}${described}</div>
      </div>`;
  return html`<div class="field">${title}${control(field, { id, hint })}${described}</div>`;
}

function control({ kind, schema, required, initial }, { id, hint }) {
  const common = { id, required, "aria-describedby": hint };
  switch (kind) {
    case "choice":
      return html`
        <select ...${common}>
          ${(!required || initial === "") && html`<option value="">—</option>`}
          ${choicesOf(schema).map((choice) => {
            const text = write(choice);
            return html`<option value=${text} defaultSelected=${text === initial}>${String(choice)}</option>`;
          })}
        </select>`;
    case "integer":
    case "number": {
      const step = kind === "integer" ? (schema.multipleOf ?? 1) : (schema.multipleOf ?? "any");
      return html`<input type="number" inputmode=${kind === "integer" ? "numeric" : "decimal"} step=${step}
        min=${schema.minimum} max=${schema.maximum} defaultValue=${initial} ...${common} />`;
    }
    case "text":
      return html`<input type="text" autocomplete="off" minlength=${schema.minLength} maxlength=${schema.maxLength}
        pattern=${schema.pattern} defaultValue=${initial} ...${common} />`;
    default:
      return html`<textarea rows="4" spellcheck="false" class="code" placeholder="JSON" defaultValue=${initial} ...${common}
        onInput=${(event) => event.target.setCustomValidity(isJson(event.target.value) ? "" : "This must be valid JSON.")}></textarea>`;
  }
}

/** Follows `$ref` within the schema, and picks the only alternative besides null. */
function resolved(of, schema) {
  if (of.$ref) return resolved(of.$ref.split("/").slice(1).reduce((node, part) => node[part], schema), schema);
  const some = (of.anyOf ?? of.oneOf ?? of.allOf ?? []).filter((each) => each.type !== "null");
  return some.length === 1 ? { ...of, ...resolved(some[0], schema) } : of;
}

function kindOf(of) {
  if (choicesOf(of)) return "choice";
  if (["boolean", "integer", "number"].includes(of.type)) return of.type;
  return of.type === "string" ? "text" : "json";
}

const choicesOf = (of) => of.enum ?? ("const" in of ? [of.const] : undefined);

function textOf(kind, value) {
  if (kind === "boolean") return value ?? false;
  if (value === undefined || value === null) return "";
  return kind === "text" ? value : write(value);
}

/** A browser accepts numbers that are not JSON, such as `.5` and `007`. They are rewritten without losing a digit. */
function parsed(kind, value, title) {
  if (kind === "text") return value;
  const text = kind === "json" || kind === "choice" ? value : value.replace(/^(-?)\+?0*(?=\d)/, "$1").replace(/^(-?)\./, "$10.");
  if (!isJson(text)) throw new Error(`${title} must be valid JSON.`);
  return parse(text);
}

function isJson(text) {
  if (text.trim() === "") return true;
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
}
