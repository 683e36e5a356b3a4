// The service worker: keeps every file of one version on the device, so that the page works without a network.
// A new version is fetched beside the old one, of which files that did not change are taken over; it waits until the page asks.

const FOLDER = "{folder}";
const SHELL = ["index.html", "manifest.json", "icon-192.png", "icon-512.png", "icon-full.png", "icon-touch.png"];
const BUILD = new URLSearchParams(location.search).get("build");
const OURS = `fruitpipe ${registration.scope} `;
const CACHE = `${OURS}${FOLDER} ${BUILD}`;
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
  const contract = await fetched(`${FOLDER}/contract.json`);
  const files = (await contract.clone().json()).files.filter(({ build }) => !build || build === BUILD);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0), before = await keptBefore();
  let loaded = 0;
  for (const file of files) {
    const kept = before.get(file.sha256);
    const response = kept ? await kept() : await checked(file, (bytes) => tell(loaded + bytes, total));
    await cache.put(`${FOLDER}/${file.file}`, response);
    loaded += file.bytes;
    await tell(loaded, total);
  }
  await cache.put(`${FOLDER}/contract.json`, contract);
}

async function keepShell(cache) {
  for (const name of SHELL) {
    const response = await fetched(name);
    if (name === "index.html" && !(await response.clone().text()).includes(FOLDER)) throw new Error("the page is of another version");
    await cache.put(name, response);
  }
}

async function fetched(name) {
  const response = await fetch(name, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return response;
}

// The file from the network, if its bytes are those of the contract.
async function checked({ file, sha256 }, told) {
  const response = await fetched(`${FOLDER}/${file}`);
  const body = await read(response, told);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== sha256) throw new Error(`${file}: its bytes are not those of this version`);
  return new Response(body, { headers: { "content-type": response.headers.get("content-type") || "", [HASH]: sha256 } });
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

// By hash, what earlier versions keep.
async function keptBefore() {
  const found = new Map();
  for (const name of (await caches.keys()).filter((one) => one.startsWith(OURS) && one !== CACHE)) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const response = await cache.match(request);
      found.set(response.headers.get(HASH), () => cache.match(request));
    }
  }
  return found;
}

async function takeOver() {
  for (const name of await caches.keys()) if (name.startsWith(OURS) && name !== CACHE) await caches.delete(name);
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
