// Keeps the page on the device, by its service worker.

// Resolves when all files are kept, to whether they are: false where the browser has no service workers, or the page came over
// plain http. told(loaded, total): bytes, on the first visit. updated(): a newer version has been kept and waits for `takeOver`.
export async function keep(build, told, updated) {
  const workers = navigator.serviceWorker;
  if (!workers) return false;
  workers.addEventListener("message", ({ data }) => told(data.loaded, data.total));
  workers.startMessages();
  const registration = await workers.register(`sw.js?build=${build}`);
  const first = !registration.active && (registration.installing || registration.waiting);
  if (first && !(await becomes(first, "activated"))) return false;
  watch(registration, updated);
  return true;
}

// Has the newer version shown.
export async function takeOver() {
  const { waiting } = await navigator.serviceWorker.getRegistration();
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
  waiting.postMessage("take over");
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
  const look = async (worker) => worker && (await becomes(worker, "installed")) && updated();
  look(registration.waiting || registration.installing);
  registration.addEventListener("updatefound", () => look(registration.installing));
}
