// <live-part hints="friends video">: a part of a page that the server writes anew when something it shows has changed. The rest of the page, and
// whoever is about to do something in this part, is left in peace.

import { podEvents, type Hint, type PodEvents } from './pod-events.ts';

/** Several hints within this time are one look, in milliseconds. */
const GATHER = 300;
/** Not more often than this, in milliseconds: pods tell each other in bursts. */
const PACE = 2_000;

export class LivePart extends HTMLElement {
  events: PodEvents = podEvents;
  #stop: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looked = 0;

  connectedCallback(): void {
    const wanted = new Set(['look', ...(this.getAttribute('hints') ?? '').split(' ')]);
    this.#stop = this.events.listen((hint: Hint) => {
      if (wanted.has(hint.kind)) this.#soon();
    });
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
      void this.#look();
    }, wait);
  }

  async #look(): Promise<void> {
    this.#looked = performance.now();
    // Somebody is about to confirm something, or types.
    if (this.querySelector('details[open], :is(input, textarea, select):focus')) return this.#soon();
    try {
      const answer = await fetch(location.href, { credentials: 'same-origin', headers: { Accept: 'text/html' } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const fresh = page.getElementById(this.id);
      if (!fresh || !this.isConnected) return;
      if (this.querySelector('details[open]')) return this.#soon();
      this.#replace(document.adoptNode(fresh));
    } catch {
      // The pod is away for a moment; the next hint, or the next page, tells more.
    }
  }

  /** The focus stays on what looks the same. */
  #replace(fresh: HTMLElement): void {
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
