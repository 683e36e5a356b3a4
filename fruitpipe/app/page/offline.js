// Keeps the page on the device, by its service worker.

let isControlled = Boolean(navigator.serviceWorker?.controller);

// Resolves when all files are kept, to whether they are: false where the browser has no service workers, or the page came over
// plain http. told(loaded, total): bytes, on the first visit. updated(isKept): a newer version has been kept and waits for
// `takeOver`, or could not be fetched.
export async function keep(build, told, updated) {
  const workers = navigator.serviceWorker;
  if (!workers) return false;
  workers.addEventListener("controllerchange", replaced);
  workers.addEventListener("message", ({ data }) => told(data.loaded, data.total));
  workers.startMessages();
  const registration = await workers.register(`sw.js?build=${build}`);
  const first = !registration.active && (registration.installing || registration.waiting);
  if (first && !(await becomes(first, "activated"))) return false;
  navigator.storage?.persist?.().catch(() => {}); // asks not to be removed when the disk is full; the browser decides
  watch(registration, updated);
  return true;
}

// Has the newer version shown, in each window that shows this one.
export async function takeOver() {
  const registration = await navigator.serviceWorker.getRegistration();
  isControlled = true;
  if (registration?.waiting) registration.waiting.postMessage("take over");
  else location.reload(); // another window asked already
}

// A newer version took over, so the files of this one are not kept any more. The first worker of all takes over nothing.
function replaced() {
  if (isControlled) location.reload();
  isControlled = true;
}

function becomes(worker, state) {
  return new Promise((done) => {
    const look = () => {
      if (worker.state === state || worker.state === "redundant") done(worker.state === state);
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

function watch(registration, updated) {
  const look = async (worker) => worker && updated(await becomes(worker, "installed"));
  look(registration.waiting || registration.installing);
  registration.addEventListener("updatefound", () => look(registration.installing));
}
