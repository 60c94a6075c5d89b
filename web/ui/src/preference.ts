// The switch "Share with other viewers", remembered in this browser and told to nobody.

const KEY = 'seedpod.sharing';

/** What a browser may say about its person's wishes. */
interface Wishes {
  readonly globalPrivacyControl?: boolean;
  readonly connection?: { readonly saveData?: boolean };
}

/** The remembered choice; without one, sharing is on unless the browser asks for privacy or for saving data. */
export function sharingWanted(storage: Pick<Storage, 'getItem'> | undefined, wishes: Wishes): boolean {
  try {
    const remembered = storage?.getItem(KEY);
    if (remembered === 'on') return true;
    if (remembered === 'off') return false;
  } catch {
    // Storage may be forbidden; then nothing is remembered.
  }
  return wishes.globalPrivacyControl !== true && wishes.connection?.saveData !== true;
}

/** Remembers a choice; where storage is forbidden it holds for this page alone. */
export function rememberSharing(storage: Pick<Storage, 'setItem'> | undefined, on: boolean): void {
  try {
    storage?.setItem(KEY, on ? 'on' : 'off');
  } catch {
    // See above.
  }
}

/** `localStorage`, unless even asking for it is forbidden. */
export function pageStorage(): Storage | undefined {
  try {
    return window.localStorage;
  } catch {
    return undefined;
  }
}
