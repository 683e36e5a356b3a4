// The service worker: keeps every file of one version on the device, so that the page works without a network.
// A new version is fetched beside the old one, of which files that did not change are taken over; it waits until the page asks,
// or takes its place at once where the old one's version is not published any more.

const FOLDER = "{folder}";
const SHELL_DIGITS = "{shell}"; // of what lies beside the folder: title, icons, this file
const PUBLISHED = {published};
const SHELL = ["index.html", "manifest.json", "icon-192.png", "icon-512.png", "icon-full.png", "icon-touch.png"];
const BUILD = new URLSearchParams(location.search).get("build");
const OURS = `fruitpipe ${registration.scope} `;
const CACHE = `${OURS}${FOLDER} ${SHELL_DIGITS} ${BUILD}`;
const HASH = "x-sha256";

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(takeOver()));
self.addEventListener("message", (event) => event.data === "take over" && self.skipWaiting());
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith(registration.scope)) {
    event.respondWith(answer(event.request));
  }
});

async function install() {
  const cache = await caches.open(CACHE);
  await keepShell(cache);
  const contract = await contractOf();
  const files = JSON.parse(new TextDecoder().decode(contract.body)).files.filter(({ build }) => !build || build === BUILD);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0), before = await keptBefore();
  let loaded = 0;
  for (const file of files) {
    const kept = before.get(file.sha256);
    const response = kept ? await kept() : await checked(file, (bytes) => tell(loaded + bytes, total));
    await cache.put(`${FOLDER}/${file.file}`, response);
    loaded += file.bytes;
    await tell(loaded, total);
  }
  await cache.put(`${FOLDER}/contract.json`, plain(contract));
  if ((await ourCaches()).some(isWithdrawn)) await self.skipWaiting();
}

async function keepShell(cache) {
  for (const name of SHELL) {
    const found = await fetched(name);
    if (name === "index.html" && !isOurs(new TextDecoder().decode(found.body))) throw new Error("the page is of another version");
    await cache.put(name, plain(found));
  }
}

function isOurs(page) {
  return page.includes(FOLDER) && page.includes(SHELL_DIGITS);
}

// The folder's name ends with the first digits of the contract's hash.
async function contractOf() {
  const found = await fetched(`${FOLDER}/contract.json`);
  if ((await sha256(found.body)).startsWith(FOLDER.split("-")[1])) return found;
  throw new Error("contract.json: its bytes are not those of this version");
}

// The file from the network, if its bytes are those of the contract.
async function checked({ file, sha256: expected }, told) {
  const found = await fetched(`${FOLDER}/${file}`, told);
  if ((await sha256(found.body)) !== expected) throw new Error(`${file}: its bytes are not those of this version`);
  return plain(found, { [HASH]: expected });
}

// A file's bytes and type from the network.
async function fetched(name, told = () => {}) {
  const response = await fetch(name, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return { body: await read(response, told), type: response.headers.get("content-type") || "" };
}

// As a response of our own: a browser refuses one that was redirected where a page is opened, and one with Vary may not be found.
function plain({ body, type }, headers = {}) {
  return new Response(body, { headers: { "content-type": type, ...headers } });
}

async function sha256(body) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function read(response, told) {
  const parts = [];
  let bytes = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return await new Blob(parts).arrayBuffer();
    parts.push(value);
    await told((bytes += value.length));
  }
}

// By hash, what earlier versions keep, and what an installation of this one that was interrupted had fetched.
async function keptBefore() {
  const found = new Map();
  for (const name of await ourCaches()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const response = await cache.match(request);
      found.set(response.headers.get(HASH), () => cache.match(request));
    }
  }
  return found;
}

async function ourCaches() {
  return (await caches.keys()).filter((name) => name.startsWith(OURS));
}

function isWithdrawn(name) {
  return !PUBLISHED.includes(name.slice(OURS.length).split("-")[0]);
}

async function takeOver() {
  for (const name of await ourCaches()) if (name !== CACHE) await caches.delete(name);
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const asked = request.url.split("?")[0] === registration.scope ? "index.html" : request;
  return (await cache.match(asked, { ignoreSearch: true })) || fetch(request);
}

async function tell(loaded, total) {
  for (const client of await self.clients.matchAll({ includeUncontrolled: true, type: "window" })) client.postMessage({ loaded, total });
}
