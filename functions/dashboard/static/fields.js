// A form for a job type's parameters, from its JSON Schema.

import { html } from "./vendor/htm-preact.js";
import { label } from "./format.js";

/**
 * `[{name, kind, title, description, required, initial, schema}]`. Kinds: boolean, integer, number, choice, text, and
 * json for whatever has no form of its own.
 */
export function fieldsOf(schema) {
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
      initial: textOf(kind, given.default ?? of.default),
    };
  });
}

/** What the API is sent for what was typed in; what was left empty is left out. Throws SyntaxError for what is no JSON. */
export function paramsOf(fields, values) {
  const params = {};
  for (const field of fields) {
    const value = values[field.name] ?? field.initial;
    if (field.kind === "boolean") params[field.name] = value;
    else if (field.kind === "text" ? value !== "" : value.trim() !== "") params[field.name] = parsed(field.kind, value);
  }
  return params;
}

export const Fields = ({ fields, values, onChange }) =>
  fields.map((field) => {
    const value = values[field.name] ?? field.initial;
    return html`<${Field} key=${field.name} field=${field} value=${value} onChange=${(next) => onChange(field.name, next)} />`;
  });

function Field({ field, value, onChange }) {
  const id = `param-${field.name}`;
  const hint = field.description && `${id}-hint`;
  const described = field.description && html`<p id=${hint} class="hint">${field.description}</p>`;
  const title = html`<label for=${id}>${field.title}${!field.required && field.kind !== "boolean" && html` <span class="quiet">optional</span>`}</label>`;
  if (field.kind === "boolean")
    return html`
      <div class="field switch">
        <input id=${id} type="checkbox" checked=${value} aria-describedby=${hint} onChange=${(event) => onChange(event.target.checked)} />
        <div>${title}${described}</div>
      </div>`;
  return html`<div class="field">${title}${control(field, { id, value, hint, onChange })}${described}</div>`;
}

function control({ kind, schema, required }, { id, value, hint, onChange }) {
  const common = { id, required, "aria-describedby": hint, onInput: (event) => onChange(event.target.value) };
  switch (kind) {
    case "choice":
      return html`
        <select ...${common}>
          ${(!required || value === "") && html`<option value="" selected=${value === ""}>—</option>`}
          ${choicesOf(schema).map((choice) => {
            const text = JSON.stringify(choice);
            return html`<option value=${text} selected=${text === value}>${String(choice)}</option>`;
          })}
        </select>`;
    case "integer":
    case "number": {
      const step = kind === "integer" ? (schema.multipleOf ?? 1) : (schema.multipleOf ?? "any");
      return html`<input type="number" inputmode=${kind === "integer" ? "numeric" : "decimal"} step=${step}
        min=${schema.minimum} max=${schema.maximum} value=${value} ...${common} />`;
    }
    case "text":
      return html`<input type="text" autocomplete="off" minlength=${schema.minLength} maxlength=${schema.maxLength}
        pattern=${schema.pattern} value=${value} ...${common} />`;
    default:
      return html`<textarea rows="4" spellcheck="false" class="code" placeholder="JSON" value=${value} ...${common}
        onInput=${(event) => {
          event.target.setCustomValidity(isJson(event.target.value) ? "" : "This has to be JSON.");
          onChange(event.target.value);
        }}></textarea>`;
  }
}

/** Follows `$ref` within the schema, and takes the one choice beside null. */
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
  return kind === "text" ? value : JSON.stringify(value);
}

/** What a browser takes for a number is more than what JSON does: `.5`, `007`. */
function parsed(kind, value) {
  if (kind === "text") return value;
  return kind === "integer" || kind === "number" ? Number(value) : JSON.parse(value);
}

function isJson(text) {
  if (text.trim() === "") return true;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
