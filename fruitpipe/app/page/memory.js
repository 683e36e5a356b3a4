// What the browser remembers of this page by name; nothing where its storage is shut, as in some private windows, or full.

export function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    forget(name);
  }
}

export function forget(name) {
  try {
    localStorage.removeItem(name);
  } catch {
    // there is nothing to forget
  }
}
