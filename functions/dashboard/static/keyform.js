// The dialog that stores a provider's key: a masked field, the provider's own config, and what the test of the key says.

import { html, useMemo, useRef, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { Fields, fieldsOf, paramsOf } from "./fields.js";
import { Dialog, Problem } from "./parts.js";

export function KeyForm({ provider, integration, path, onClose, onDone }) {
  const [sending, alone] = useAlone();
  const [refusal, setRefusal] = useState(null);
  const [report, setReport] = useState(null);
  const form = useRef();
  const fields = useMemo(() => {
    const known = integration?.config ?? {};
    return fieldsOf(provider.config).map((field) => ({ ...field, initial: known[field.name] ?? field.initial }));
  }, []);

  const submit = (event) => {
    event.preventDefault();
    const elements = form.current.elements;
    return alone(async () => {
      setRefusal(null);
      try {
        const key = elements.key.value.trim();
        // A field that was emptied is taken out of the stored config.
        const emptied = integration ? Object.fromEntries(fields.map(({ name }) => [name, null])) : {};
        const config = { ...emptied, ...paramsOf(fields, form.current), ...(key && { api_key: key }) };
        const { test } = integration
          ? await api("PATCH", `${path}/${provider.provider}`, { body: { config } })
          : await api("POST", path, { body: { provider: provider.provider, config } });
        elements.key.value = "";
        onDone();
        if (test) setReport(test);
        else onClose();
      } catch (error) {
        setRefusal(error);
        elementOf(error.fields?.field, elements)?.focus();
      }
    });
  };

  const wrong = refusal?.fields?.field === "config.api_key";
  const title = integration ? `Change the ${provider.label} integration` : `Add a ${provider.label} key`;
  if (report)
    return html`
      <${Dialog} title="The key is stored" onClose=${onClose}>
        <div class="notice ${report.ok ? "" : "warn"}" role="status"><p translate=${false}>${report.says}</p></div>
        ${!report.ok && html`<p>Jobs may fail with this key. Give it the missing permissions at ${provider.label}, or store another one.</p>`}
        <footer><button class="primary" type="button" autofocus onClick=${onClose}>Done</button></footer>
      <//>`;
  return html`
    <${Dialog} title=${title} onClose=${onClose} busy=${sending}>
      <form ref=${form} autocomplete="off" onSubmit=${submit} onInput=${() => setRefusal(null)}>
        ${refusal && html`<${Problem}><p id="key-problem">${refusal.message}</p><//>`}
        <div class="field">
          <label for="key">${provider.key_title}${integration && html` <span class="quiet">optional</span>`}</label>
          <input id="key" type="password" autocomplete="off" spellcheck="false" maxlength="500" autofocus required=${!integration}
            aria-invalid=${wrong} aria-describedby=${wrong ? "key-problem key-hint" : "key-hint"} />
          <p id="key-hint" class="hint">
            ${provider.key_description} It is encrypted for this project and cannot be read again.${integration && " Leave the field empty to keep the stored key."}
          </p>
        </div>
        <${Fields} fields=${fields} />
        <footer>
          <button type="button" disabled=${sending} onClick=${onClose}>Close</button>
          <button class="primary" disabled=${sending}>${sending ? "Storing and testing …" : "Store"}</button>
        </footer>
      </form>
    <//>`;
}

/** The field that an error names: the key, or one of the provider's config. */
function elementOf(field, elements) {
  const name = field?.replace(/^config\./, "");
  return name && (name === "api_key" ? elements.key : elements[`param-${name}`]);
}
