// The files of this version's folder, none with other bytes than its contract names.

const HERE = new URL(".", import.meta.url);

// `contract.json`: the folder's name ends with the first digits of its hash.
export async function contract() {
  const body = await fetched("contract.json");
  const digits = HERE.pathname.match(/-([0-9a-f]+)\/$/)?.[1];
  if (digits && !(await hasHash(body, digits))) throw wrong("contract.json");
  return JSON.parse(new TextDecoder().decode(body));
}

// The bytes, an ArrayBuffer, of one of the contract's files.
export async function bytesOf({ files }, name) {
  const body = await fetched(name), told = files.find(({ file }) => file === name);
  if (body.byteLength !== told.bytes || !(await hasHash(body, told.sha256))) throw wrong(name);
  return body;
}

async function fetched(name) {
  const response = await fetch(new URL(name, HERE));
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return response.arrayBuffer();
}

// Whether the SHA-256 begins with these digits. Over plain http browsers have none to give: there sizes alone are looked at.
async function hasHash(body, digits) {
  if (!crypto.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("").startsWith(digits);
}

function wrong(name) {
  return new Error(`${name}: its bytes are not those of this version`);
}
