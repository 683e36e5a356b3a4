// What the page says, in French and English. Words in braces are put in.

import { remember, remembered } from "./memory.js";

export const TEXTS = {
  en: {
    lead: "Take a picture of a fruit. It is named on this device: the picture does not leave it.",
    camera: "Take a picture",
    file: "Choose a picture",
    drop: "or drop one here, or paste it",
    loading: "Fetching what is needed: {loaded} of {total} MB. Only once.",
    starting: "Starting …",
    checking: "Checking this device: {done} of {of} pictures",
    looking: "Looking …",
    unknown: "I don’t know this one",
    closest: "The closest that I know: {label}, {share}",
    second: "or {label}, {share}",
    took: "named in {ms} ms",
    checked: "Checked on this device",
    same: "{count} pictures give the server’s numbers, to the last bit, and its answers.",
    near: "{count} pictures give the server’s numbers, the worst off by {difference}.",
    refusedTitle: "This browser computes something else",
    refused:
      "{wrong} of {count} pictures are not as they should be (worst difference {difference}: {files}), so nothing is named here. Another browser may do; {browser} was tested.",
    failedTitle: "It does not start",
    failed: "{error}. Load the page again; with an old browser, try a newer one.",
    bytes: "This file is larger than {megabytes} MB.",
    pixels: "This picture has more pixels than are decoded here.",
    format: "This browser cannot read this file as a picture. JPEG, PNG and WebP always work.",
    broken: "This picture could not be looked at ({error}).",
    offline: "Works without a network",
    online: "Needs a network: this browser keeps no pages",
    update: "A newer version is here.",
    notUpdated: "A newer version could not be fetched; this page tries again when it is next opened.",
    reload: "Use it",
    again: "Check again",
    details: "About this app",
    version: "Version",
    labels: "Labels it knows",
    accuracy: "Right, when it was made",
    extractor: "Fingerprint",
    buildOf: "Computed by",
    relaxed: "WebAssembly with relaxed SIMD: the numbers of the server",
    compat: "WebAssembly without relaxed SIMD: numbers differ in the fifth place",
    rerun: "Check of this device",
    ranges: "What may differ from the server",
    large: "Large photographs (1344 px and more): decoded in full here and at a fraction there. Of those that were checked the least cosine was {cosine}; close calls may have other labels.",
    colours: "Display P3 and other wide colours differ by a level (cosine 0.9999), HDR photographs with a gain map by more (0.99).",
    aboutProbability: "The percentage compares the labels that it knows; “I don’t know” is decided apart.",
  },
  fr: {
    lead: "Photographiez un fruit. Il est reconnu sur cet appareil : la photo ne le quitte pas.",
    camera: "Prendre une photo",
    file: "Choisir une photo",
    drop: "ou déposez-la ici, ou collez-la",
    loading: "Téléchargement du nécessaire : {loaded} sur {total} Mo. Une seule fois.",
    starting: "Démarrage …",
    checking: "Vérification de cet appareil : {done} images sur {of}",
    looking: "Je regarde …",
    unknown: "Je ne connais pas celui-ci",
    closest: "Le plus proche de ceux que je connais : {label}, {share}",
    second: "ou {label}, {share}",
    took: "reconnu en {ms} ms",
    checked: "Vérifié sur cet appareil",
    same: "{count} images donnent les nombres du serveur, au bit près, et ses réponses.",
    near: "{count} images donnent les nombres du serveur, à {difference} près.",
    refusedTitle: "Ce navigateur calcule autre chose",
    refused:
      "{wrong} images sur {count} ne donnent pas ce qu’elles devraient (plus grand écart {difference} : {files}) : rien n’est reconnu ici. Un autre navigateur peut convenir ; {browser} a été testé.",
    failedTitle: "L’application ne démarre pas",
    failed: "{error}. Rechargez la page ; si le navigateur est ancien, essayez-en un plus récent.",
    bytes: "Ce fichier dépasse {megabytes} Mo.",
    pixels: "Cette image a plus de pixels qu’on n’en décode ici.",
    format: "Ce navigateur ne lit pas ce fichier comme une image. JPEG, PNG et WebP conviennent toujours.",
    broken: "Cette image n’a pas pu être regardée ({error}).",
    offline: "Fonctionne sans réseau",
    online: "A besoin du réseau : ce navigateur ne garde pas les pages",
    update: "Une version plus récente est arrivée.",
    notUpdated: "Une version plus récente n’a pas pu être téléchargée ; nouvel essai à la prochaine ouverture.",
    reload: "L’utiliser",
    again: "Vérifier de nouveau",
    details: "À propos de cette application",
    version: "Version",
    labels: "Étiquettes connues",
    accuracy: "Réponses justes, à la création",
    extractor: "Empreinte",
    buildOf: "Calculé par",
    relaxed: "WebAssembly avec SIMD relâché : les nombres du serveur",
    compat: "WebAssembly sans SIMD relâché : les nombres diffèrent à la cinquième décimale",
    rerun: "Vérification de cet appareil",
    ranges: "Ce qui peut différer du serveur",
    large: "Grandes photos (1344 px et plus) : décodées en entier ici, à une fraction là-bas. Cosinus minimal de celles qui ont été vérifiées : {cosine} ; un cas limite peut avoir une autre étiquette.",
    colours: "Display P3 et les autres couleurs étendues diffèrent d’un niveau (cosinus 0,9999), les photos HDR à carte de gain davantage (0,99).",
    aboutProbability: "Le pourcentage compare les étiquettes connues ; « je ne connais pas » se décide à part.",
  },
};

const KEPT = "fruitpipe language";

export function language() {
  const kept = remembered(KEPT);
  if (kept in TEXTS) return kept;
  return navigator.languages.map((one) => one.slice(0, 2)).find((one) => one in TEXTS) || "en";
}

export function setLanguage(language) {
  remember(KEPT, language);
}

// The text of this name, with the values put in.
export function text(language, name, values = {}) {
  return TEXTS[language][name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}
