// The page where a proof is pasted: with scripts and a browser that can, nothing is sent anywhere.
(async () => {
  "use strict";
  const form = document.querySelector("form[data-verify]");
  if (!form) return;
  const core = await import(form.dataset.core);
  const part = (name) => document.querySelector(`[data-part="${name}"]`);
  const field = (name) => form.elements.namedItem(name);

  if (!(await core.able())) {
    part("unable").hidden = false;
    return; // the form goes to the server, as without scripts
  }
  part("here").hidden = false;
  part("server").hidden = true;
  form.dataset.ready = "";

  // A file's own bytes count, which a text field would alter; forgotten when the text is edited.
  const read = new Map();
  for (const input of form.querySelectorAll("input[type=file][data-into]")) {
    input.closest("[hidden]").hidden = false;
    input.addEventListener("change", async () => {
      const file = input.files[0];
      if (!file) return;
      const bytes = new Uint8Array(await file.arrayBuffer());
      const digest = await core.digestOf(bytes);
      const target = field(input.dataset.into);
      target.value = input.dataset.into === "document" ? digest : new TextDecoder().decode(bytes);
      read.set(input.dataset.into, digest);
      input.dataset.read = digest;
      form.querySelector(`[data-name="${input.dataset.into}"]`).textContent = file.name;
    });
    field(input.dataset.into).addEventListener("input", () => read.delete(input.dataset.into));
  }

  const digestOf = async (name) => {
    const text = field(name).value;
    if (read.has(name)) return read.get(name);
    const typed = text.trim();
    if (!typed && name === "document") return core.digestOf(core.carried(field("proof").value));
    if (/^(sha256:)?[0-9a-f]{64}$/.test(typed)) return `sha256:${typed.replace("sha256:", "")}`;
    return core.digestOf(new TextEncoder().encode(text));
  };
  const fact = (name, value) => {
    part("facts").querySelector(`[data-fact="${name}"]`).textContent = value;
  };
  const show = (name) => {
    for (const each of ["good", "bad"]) part(each).hidden = each !== name;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    for (const each of part("bad").querySelectorAll("[data-reason]")) each.hidden = true;
    try {
      const given = field("trust").value;
      const kinds = form.dataset.kinds.split(" ");
      const policy = core.policyIn(given);
      const document = await digestOf("document");
      const found = await core.verify(field("proof").value, document, policy, kinds);
      fact("kind", found.kind);
      fact("index", found.index);
      fact("log", found.origin);
      fact("size", found.size);
      fact("witnesses", found.witnesses.join(", "));
      fact("document", document);
      fact("trust", await digestOf("trust"));
      show("good");
    } catch (error) {
      const code = error instanceof core.Refused ? error.code : "malformed";
      part("bad").querySelector(`[data-reason="${code}"]`).hidden = false;
      part("why").textContent = error.message;
      show("bad");
    }
    part("result").focus();
  });
})();
