// The page: what it shows, and what its buttons do.

import { check } from "./check.js";
import { Refused } from "./decode.js";
import { contract as contractOf } from "./files.js";
import { Identifier } from "./identify.js";
import { forget, remember, remembered } from "./memory.js";
import { build as buildOf } from "./network.js";
import { keep, takeOver } from "./offline.js";
import { language, setLanguage, text } from "./texts.js";

const TESTED = "Chromium";
const MEGA = 1e6;
const PREVIEW_PX = 1024; // the longer side of the picture that is shown
const element = (id) => document.getElementById(id);
export const page = { spoken: language(), state: "starting", said: ["starting"] };
let last;

const number = (value, digits) => new Intl.NumberFormat(page.spoken, { maximumFractionDigits: digits }).format(value);
const percent = (share) => new Intl.NumberFormat(page.spoken, { style: "percent", maximumFractionDigits: 1 }).format(share);
const small = (value) => (value === 0 ? "0" : value.toExponential(1).replace(".", page.spoken === "fr" ? "," : "."));
const label = (name) => name || "“”";

async function start() {
  show();
  listen();
  await trying(async () => {
    const contract = await contractOf();
    const build = await buildOf();
    Object.assign(page, { contract, build });
    page.isKept = await kept(build);
    say("starting");
    page.identifier = await Identifier.load(contract, build);
    await verify(JSON.parse(remembered(key())));
  });
}

// Does it; what goes wrong is shown in place of all else.
async function trying(work) {
  try {
    await work();
  } catch (error) {
    Object.assign(page, { state: "failed", error: String(error.message || error) });
    show();
  }
}

async function kept(build) {
  const megabytes = (bytes) => number(bytes / MEGA, 1);
  const told = (loaded, total) => {
    if (page.state !== "starting") return; // a newer version, behind what the page shows
    say("loading", () => ({ loaded: megabytes(loaded), total: megabytes(total) }), loaded / total);
  };
  try {
    return await keep(build, told, updated);
  } catch {
    return false; // a private window, or a disk that is full: the page works, with a network
  }
}

function updated(isKept) {
  element("update").hidden = false;
  element("update").firstElementChild.dataset.text = isKept ? "update" : "notUpdated";
  element("take-over").hidden = !isKept;
  show();
}

// Checks this device, or takes what an earlier check of the same files by the same browser found.
async function verify(before) {
  page.state = "checking";
  if (!before) forget(key()); // what it found of an earlier time says nothing of now
  page.check = before || (await check(page.identifier, (done, of) => say("checking", () => ({ done, of }), done / of)));
  if (page.check.isKept) remember(key(), JSON.stringify(page.check));
  page.state = page.check.isKept ? "ready" : "refused";
  show();
}

function key() {
  return `fruitpipe check ${new URL(".", import.meta.url).pathname} ${page.build} ${navigator.userAgent}`;
}

function listen() {
  for (const id of ["camera", "file"]) element(id).addEventListener("change", ({ target }) => name(target.files[0], target));
  addEventListener("paste", ({ clipboardData }) => name(clipboardData.files[0]));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    name(event.dataTransfer.files[0]);
  });
  for (const button of document.querySelectorAll("[data-language]")) button.addEventListener("click", () => speak(button.dataset.language));
  element("take-over").addEventListener("click", takeOver);
  element("again").addEventListener("click", () => trying(() => verify(null)));
}

function speak(spoken) {
  setLanguage(spoken);
  page.spoken = spoken;
  show();
}

async function name(file, input) {
  if (!file || page.state !== "ready") return;
  page.state = "looking";
  last = null;
  say("looking");
  const began = performance.now();
  try {
    last = { answer: await page.identifier.identify(file, preview), ms: performance.now() - began };
  } catch (error) {
    last = { why: error instanceof Refused ? error.reason : "broken", error: String(error.message || error) };
  }
  if (input) input.value = ""; // so that the same file may be chosen again
  page.state = "ready";
  show();
}

function preview(bitmap) {
  const canvas = element("picture"), share = Math.min(1, PREVIEW_PX / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * share));
  canvas.height = Math.max(1, Math.round(bitmap.height * share));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.hidden = false;
  element("placeholder").hidden = true;
}

// What the page is at, in a text with values, and what share of it is done, where that is known.
function say(name, values = () => ({}), share = null) {
  page.said = [name, values, share];
  show();
}

function t(name, values) {
  return text(page.spoken, name, values);
}

function show() {
  const root = document.documentElement, isReady = page.state === "ready", isBusy = !["ready", "refused", "failed"].includes(page.state);
  root.lang = page.spoken;
  root.dataset.state = page.state;
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = t(place.dataset.text);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === page.spoken));
  }
  for (const id of ["camera", "file", "again"]) element(id).disabled = !isReady;
  element("busy").hidden = !isBusy;
  const [said, values, share] = page.said;
  element("progress").textContent = isBusy ? t(said, values?.()) : "";
  element("share-done").hidden = typeof share !== "number";
  element("share-done").value = share ?? 0;
  showAnswer();
  showTrouble();
  showFacts();
}

function showAnswer() {
  const { answer, why, error, ms } = last || {};
  element("answer").hidden = !last;
  element("answer").classList.toggle("unknown", !answer?.isKnown);
  const share = answer ? percent(answer.probability) : "";
  if (answer) {
    element("label").textContent = answer.isKnown ? label(answer.label) : t("unknown");
    element("share").textContent = answer.isKnown ? share : "";
    element("more").textContent = answer.isKnown
      ? t("second", { label: label(answer.runnerUp), share: percent(answer.runnerUpProbability) })
      : t("closest", { label: label(answer.label), share });
    element("took").textContent = t("took", { ms: number(ms, 0) });
  } else if (why) {
    element("label").textContent = t(why, { error, megabytes: number(page.contract.limits.bytes / MEGA, 0) });
    for (const id of ["share", "more", "took"]) element(id).textContent = "";
  }
  element("bar").hidden = !answer?.isKnown;
  element("bar").value = answer?.probability ?? 0;
}

function showTrouble() {
  const { state, check: found } = page, isTrouble = state === "refused" || state === "failed";
  element("trouble").hidden = !isTrouble;
  if (!isTrouble) return;
  const wrong = found?.pictures.filter(({ isKept }) => !isKept);
  element("trouble-title").textContent = t(`${state}Title`);
  element("trouble-text").textContent =
    state === "failed"
      ? t("failed", { error: page.error })
      : t("refused", {
          wrong: wrong.length,
          files: wrong.map(({ file }) => file).join(", "),
          count: found.pictures.length,
          difference: small(found.difference),
          browser: TESTED,
        });
}

function showFacts() {
  const { contract, check: found, build } = page;
  element("facts").hidden = !contract;
  if (!contract) return;
  const { classifier } = contract;
  element("version").textContent = contract.version;
  element("labels").textContent = number(classifier.labels, 0);
  element("accuracy").textContent = classifier.accuracy === null ? "–" : percent(classifier.accuracy);
  element("extractor").textContent = contract.extractor;
  element("build").textContent = t(build);
  element("kept").textContent = page.isKept === undefined ? "" : t(page.isKept ? "offline" : "online");
  element("kept").classList.toggle("well", page.isKept === true);
  const scaled = contract.golden.filter(({ scaled }) => scaled).map(({ scaled }) => scaled);
  element("large").hidden = scaled.length === 0;
  element("large").textContent = t("large", { cosine: number(Math.floor(Math.min(...scaled) * 1e4) / 1e4, 4) });
  element("checked").hidden = page.state !== "ready" && page.state !== "looking";
  if (found) {
    const told = { count: found.pictures.length, difference: small(found.difference) };
    element("verdict").textContent = t(found.difference === 0 ? "same" : "near", told);
  }
}

start();
