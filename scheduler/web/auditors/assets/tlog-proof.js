// Verifies a C2SP .tlog-proof in this browser: the same rules as trust/log in Python, no request.
// Numbers of entries are BigInt; texts are what was pasted; whatever does not hold is Refused.

export class Refused extends Error {
  // `code`: malformed, policy, key, signature, quorum, inclusion. `what` is for people who look.
  constructor(code, what) {
    super(what);
    this.code = code;
  }
}

const HEADER = "c2sp.org/tlog-proof@v1";
const SIZE_LIMIT = (1n << 63n) - 1n;
const NOTE_LIMIT = 128 * 1024;
const EXTRA_LIMIT = 64 * 1024;
const PROOF_LIMIT = 63;
const FILE_LIMIT = NOTE_LIMIT + 64 + Math.floor((EXTRA_LIMIT * 4) / 3) + PROOF_LIMIT * 45;
const TEXT_LIMIT = 4096;
const SIGNATURES_LIMIT = 64;
const NAME_LIMIT = 255;
const POLICY_LIMIT = 64 * 1024;
const NAMES_LIMIT = 256;
const LOG_KEY = 0x01;
const WITNESS_KEY = 0x04;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
// What Python calls a space, which is not what JavaScript does.
const UNNAMED = /[\u0000-\u0020+\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/u;
const utf8 = new TextEncoder();

const refuse = (code, what) => {
  throw new Refused(code, what);
};
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const same = (one, other) => hex(one) === hex(other);
const joined = (...parts) => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};
const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const cut = (text, mark) => {
  const at = text.indexOf(mark);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + mark.length)];
};

export async function digestOf(bytes) {
  return `sha256:${hex(await sha256(bytes))}`;
}

// Whether this browser can do it at all: Ed25519 came late, and an http page has no crypto.subtle.
export async function able() {
  try {
    const key = new Uint8Array(32).fill(0x66); // the curve's base point
    key[0] = 0x58;
    await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
    return true;
  } catch {
    return false;
  }
}

function base64(text, code = "malformed") {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) {
    refuse(code, "this is not base64");
  }
  const letters = atob(text);
  if (btoa(letters) !== text) refuse(code, "this is not canonical base64");
  return Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
}

function hash(text) {
  const raw = base64(text);
  return raw.length === 32 ? raw : refuse("malformed", "a hash has 32 bytes");
}

function decimal(text) {
  if (!/^(?:0|[1-9][0-9]{0,18})$/.test(text)) refuse("malformed", "this is not a decimal number");
  const number = BigInt(text);
  return number <= SIZE_LIMIT ? number : refuse("malformed", "the number is above 2^63 - 1");
}

function keyName(name, code) {
  const size = utf8.encode(name).length;
  if (size === 0 || size > NAME_LIMIT || UNNAMED.test(name)) refuse(code, "no name of a key");
  return name;
}

export function parseProof(text) {
  if (utf8.encode(text).length > FILE_LIMIT) refuse("malformed", "a proof is not as large");
  const [head, note] = cut(text, "\n\n");
  if (note === null) refuse("malformed", "no blank line before the checkpoint");
  if (/[^\u0000-\u007f]/.test(head)) refuse("malformed", "the head is not ASCII");
  const lines = head.split("\n");
  let extra = null;
  if (lines.shift() !== HEADER) refuse("malformed", `a proof starts with the line ${HEADER}`);
  if (lines.length && lines[0].startsWith("extra ")) {
    extra = base64(lines.shift().slice("extra ".length));
    if (!extra.length || extra.length > EXTRA_LIMIT) refuse("malformed", "its extra data");
  }
  if (!lines.length || !lines[0].startsWith("index ")) refuse("malformed", "no index line");
  const index = decimal(lines.shift().slice("index ".length));
  if (lines.length > PROOF_LIMIT) refuse("malformed", "too many hashes");
  return { index, hashes: lines.map(hash), note: parseNote(note), extra };
}

// The document that a receipt brings along, which nobody has verified yet.
export function carried(text) {
  return parseProof(text).extra ?? refuse("document", "this proof does not carry its document");
}

function parseNote(data) {
  if (utf8.encode(data).length > NOTE_LIMIT) refuse("malformed", "a note is not as large");
  if (/[\u0000-\u0009\u000b-\u001f]/.test(data)) refuse("malformed", "a control character");
  const at = data.lastIndexOf("\n\n");
  if (at < 0) refuse("malformed", "no blank line before the signatures");
  const text = data.slice(0, at + 1);
  const tail = data.slice(at + 2);
  if (!tail.endsWith("\n")) refuse("malformed", "the signatures do not end with a newline");
  const lines = tail.slice(0, -1).split("\n");
  if (lines.length > SIGNATURES_LIMIT) refuse("malformed", "too many signatures");
  return { text, signatures: lines.map(parseSignature), checkpoint: parseCheckpoint(text) };
}

function parseSignature(line) {
  if (!line.startsWith("\u2014 ")) refuse("malformed", "no signature line");
  const [name, body] = cut(line.slice(2), " ");
  if (body === null) refuse("malformed", "no signature line");
  const raw = base64(body);
  if (raw.length <= 4) refuse("malformed", "no signature in its line");
  return { name: keyName(name, "malformed"), id: hex(raw.slice(0, 4)), payload: raw.slice(4) };
}

function parseCheckpoint(text) {
  if (utf8.encode(text).length > TEXT_LIMIT) refuse("malformed", "a checkpoint is not as large");
  const lines = text.slice(0, -1).split("\n");
  if (lines.length < 3 || lines.some((line) => !line)) refuse("malformed", "no checkpoint");
  return { origin: lines[0], size: decimal(lines[1]), root: hash(lines[2]) };
}

async function parseKey(text, type) {
  const [name, rest] = cut(text, "+");
  const [id, body] = cut(rest ?? "", "+");
  if (rest === null || body === null) refuse("policy", "no verifier key");
  keyName(name, "policy");
  const raw = base64(body, "policy");
  if (raw.length !== 33 || raw[0] !== type) refuse("policy", "a key of another type");
  const own = await sha256(joined(utf8.encode(`${name}\n`), raw));
  if (hex(own.slice(0, 4)) !== id) refuse("policy", "a key that does not match its own id");
  return { name, id, type, raw: raw.slice(1) };
}

export async function parsePolicy(text) {
  if (utf8.encode(text).length > POLICY_LIMIT) refuse("policy", "a policy is not as large");
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) refuse("policy", "a control character");
  if (text && !text.endsWith("\n")) refuse("policy", "it does not end with a newline");
  const policy = { logs: [], witnesses: new Map(), groups: new Map(), quorum: null };
  const keys = new Set();
  const members = new Set();
  const quorums = [];
  const once = (key) => {
    if (keys.has(hex(key.raw))) refuse("policy", "a key twice");
    keys.add(hex(key.raw));
    return key;
  };
  const known = (name) => policy.witnesses.has(name) || policy.groups.has(name);
  const fresh = (name) => (name === "none" || known(name)) && refuse("policy", "a name twice");
  const defined = (name) => known(name) || refuse("policy", "a name that nothing defines");
  for (const line of text.split("\n")) {
    const fields = line.replace(/^[ \t]+|[ \t]+$/g, "").split(/[ \t]+/);
    const [word, ...rest] = fields;
    if (!word || word.startsWith("#")) continue;
    if (word === "log" && (rest.length === 1 || rest.length === 2)) {
      policy.logs.push(once(await parseKey(rest[0], LOG_KEY)));
    } else if (word === "witness" && (rest.length === 2 || rest.length === 3)) {
      const key = once(await parseKey(rest[1], WITNESS_KEY));
      fresh(rest[0]);
      policy.witnesses.set(rest[0], key);
    } else if (word === "group" && rest.length >= 3) {
      const [name, said, ...names] = rest;
      for (const member of names) {
        defined(member);
        if (members.has(member)) refuse("policy", "a member twice");
        members.add(member);
      }
      const number = /^[1-9][0-9]{0,3}$/.test(said) ? Number(said) : NaN;
      const least = said === "all" ? names.length : said === "any" ? 1 : number;
      if (!(least <= names.length)) refuse("policy", "a threshold that cannot be");
      fresh(name);
      policy.groups.set(name, { least, names });
    } else if (word === "quorum" && rest.length === 1) {
      if (rest[0] !== "none") defined(rest[0]);
      quorums.push(rest[0]);
    } else {
      refuse("policy", `a line that is none of a policy: ${word.slice(0, 40)}`);
    }
    const size = policy.logs.length + policy.witnesses.size + policy.groups.size;
    if (size > NAMES_LIMIT) refuse("policy", "too many names");
  }
  if (quorums.length !== 1) refuse("policy", "it has not exactly one quorum line");
  policy.quorum = quorums[0] === "none" ? null : quorums[0];
  return policy;
}

async function holds(key, message, signature) {
  if (signature.length !== 64) return false;
  try {
    const made = await crypto.subtle.importKey("raw", key.raw, { name: "Ed25519" }, false, [
      "verify",
    ]);
    return await crypto.subtle.verify({ name: "Ed25519" }, made, signature, message);
  } catch {
    return false;
  }
}

async function signed(key, text, payload) {
  if (key.type === LOG_KEY) return holds(key, utf8.encode(text), payload);
  if (payload.length !== 72) return false;
  const time = BigInt(`0x${hex(payload.slice(0, 8))}`);
  if (time > SIZE_LIMIT) return false;
  return holds(key, utf8.encode(`cosignature/v1\ntime ${time}\n${text}`), payload.slice(8));
}

// Which known keys signed. One signature of a known key that fails rejects the whole note.
async function signers(note, policy) {
  const keys = [...policy.logs, ...policy.witnesses.values()];
  const found = [];
  for (const signature of note.signatures) {
    for (const key of keys) {
      if (key.name !== signature.name || key.id !== signature.id) continue;
      if (!(await signed(key, note.text, signature.payload))) {
        refuse("signature", `the signature of ${key.name} does not hold`);
      }
      found.push(key);
    }
  }
  if (!found.length) refuse("key", "no key that the policy names has signed");
  return found;
}

function witnessed(policy, name, keys) {
  if (policy.witnesses.has(name)) return keys.includes(policy.witnesses.get(name));
  const group = policy.groups.get(name);
  const there = group.names.filter((member) => witnessed(policy, member, keys)).length;
  return there >= group.least;
}

async function node(left, right) {
  return sha256(joined(Uint8Array.of(1), left, right));
}

// RFC 9162, section 2.1.3.2.
async function included(leaf, index, size, hashes, root) {
  if (index >= size) return false;
  let [position, last, value] = [index, size - 1n, leaf];
  for (const step of hashes) {
    if (last === 0n) return false;
    if (position & 1n || position === last) {
      value = await node(step, value);
      while (!(position & 1n) && position) {
        position >>= 1n;
        last >>= 1n;
      }
    } else {
      value = await node(value, step);
    }
    position >>= 1n;
    last >>= 1n;
  }
  return last === 0n && same(value, root);
}

// What a document (by its digest) stands in the log as, under a policy: kind, place and witnesses.
export async function verify(proofText, digest, policyText, kinds) {
  if (!DIGEST.test(digest)) refuse("malformed", "no digest");
  const policy = await parsePolicy(policyText);
  const proof = parseProof(proofText);
  const { checkpoint } = proof.note;
  if (checkpoint.size === 0n && !same(checkpoint.root, await sha256(new Uint8Array()))) {
    refuse("malformed", "the root of an empty log");
  }
  const keys = await signers(proof.note, policy);
  if (!keys.some((key) => key.type === LOG_KEY && key.name === checkpoint.origin)) {
    refuse("key", "no key of this log has signed");
  }
  if (policy.quorum !== null && !witnessed(policy, policy.quorum, keys)) {
    refuse("quorum", "too few witnesses have cosigned");
  }
  for (const kind of kinds) {
    const leaf = await sha256(utf8.encode(`\u0000cadastre/v1 ${kind} ${digest}\n`));
    if (await included(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)) {
      const names = keys.filter((key) => key.type === WITNESS_KEY).map((key) => key.name);
      return {
        kind,
        index: String(proof.index),
        origin: checkpoint.origin,
        size: String(checkpoint.size),
        witnesses: [...new Set(names)].sort(),
      };
    }
  }
  return refuse("inclusion", "the hashes do not lead from the document to the signed root");
}

// The policy in what was pasted: itself, or within a territory's signed root.
export function policyIn(text) {
  if (!text.trimStart().startsWith("{")) return text.endsWith("\n") ? text : `${text}\n`;
  try {
    const payload = JSON.parse(text).payload;
    const bytes = Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0));
    const policy = JSON.parse(new TextDecoder().decode(bytes)).log_policy;
    if (typeof policy === "string") return policy;
  } catch {
    // said below
  }
  return refuse("policy", "neither a policy nor a signed root");
}
