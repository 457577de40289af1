// The first sign-in's address has its token behind a "#", which browsers send to nobody. It is put
// into the form and taken out of the address; sending the form stays the person's own doing.
(() => {
  "use strict";
  const field = document.querySelector("input[data-from-fragment]");
  const token = location.hash.slice(1);
  if (!field || !token.startsWith("cadastre-sign-in-v1.")) return;
  field.value = token;
  history.replaceState(null, "", location.pathname + location.search);
  field.form.querySelector("button[type=submit]").focus();
})();
