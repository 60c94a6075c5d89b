// <live-part hints="friends video">: a part of a page that the server writes anew when something it shows has changed. The rest of the page, and
// whoever is about to do something in this part, is left in peace. With `video`, hints about that one video are heard too.

import { podEvents, type Hint, type PodEvents } from './pod-events.ts';

/** Several hints within this time are one look, in milliseconds. */
const GATHER = 300;
/** Not more often than this, in milliseconds: pods tell each other in bursts. */
const PACE = 2_000;

const BUSY = 'details[open], :is(input, textarea, select):focus';

export class LivePart extends HTMLElement {
  events: PodEvents = podEvents;
  #stop: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looked = 0;

  connectedCallback(): void {
    const video = this.getAttribute('video') ?? undefined;
    const wanted = new Set(['look', ...(this.getAttribute('hints') ?? '').split(' ')]);
    this.#stop = this.events.listen((hint: Hint) => {
      if (wanted.has(hint.kind)) this.#soon();
    }, video);
  }

  disconnectedCallback(): void {
    this.#stop?.();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #soon(): void {
    const wait = Math.max(GATHER, this.#looked + PACE - performance.now());
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.look();
    }, wait);
  }

  /** Shows what the server says now; with `now`, even if somebody is about to do something here. */
  async look(now = false): Promise<void> {
    this.#looked = performance.now();
    // Somebody is about to confirm something, or types.
    if (!now && this.querySelector(BUSY)) return this.#soon();
    try {
      const answer = await fetch(location.href, { credentials: 'same-origin', headers: { Accept: 'text/html' } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const fresh = page.getElementById(this.id);
      if (!fresh || !this.isConnected) return;
      if (!now && this.querySelector(BUSY)) return this.#soon();
      this.#replace(document.adoptNode(fresh));
    } catch {
      // The pod is away for a moment; the next hint, or the next page, tells more.
    }
  }

  /** The focus stays on what looks the same, and what is marked with `data-keep` stays as it is. */
  #replace(fresh: HTMLElement): void {
    for (const kept of this.querySelectorAll('[data-keep]')) fresh.querySelector(`#${CSS.escape(kept.id)}`)?.replaceWith(kept);
    const focused = document.activeElement;
    const name = focused && this.contains(focused) ? nameOf(focused) : undefined;
    this.replaceChildren(...fresh.childNodes);
    if (name !== undefined) [...this.querySelectorAll<HTMLElement>('a, button, summary')].find((element) => nameOf(element) === name)?.focus({ preventScroll: true });
    document.dispatchEvent(new Event('seedpod:fresh'));
  }
}

function nameOf(element: Element): string {
  return `${element.localName} ${element.getAttribute('href') ?? ''} ${element.getAttribute('aria-label') ?? element.textContent}`;
}

customElements.define('live-part', LivePart);
