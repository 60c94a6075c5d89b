// <friends-live>: keeps the network page true while somebody looks at it. The server stays the one who writes it: when pods or their states
// change, its part of the page is fetched again, and forms post by themselves. Asking pods takes seconds, so a form that was sent says so.

import type { Friend, PodApi } from './api.ts';
import { HttpPodApi } from './api-http.ts';

const EVERY = 5_000;
const LIVE = 'network-live';

/** What, when it changes, is worth a new table. */
export function fingerprint(friends: readonly Friend[]): string {
  return JSON.stringify(friends.map(({ id, host, state, score }) => [id, host, state, score]));
}

export class FriendsLive extends HTMLElement {
  api: PodApi = new HttpPodApi();
  #timer: ReturnType<typeof setInterval> | undefined;
  #seen: string | undefined;
  #listening: AbortController | undefined;

  connectedCallback(): void {
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    document.addEventListener('submit', (event) => this.#submit(event), { signal });
    document.addEventListener('visibilitychange', () => this.#pace(), { signal });
    this.#pace();
  }

  disconnectedCallback(): void {
    clearInterval(this.#timer);
    this.#listening?.abort();
  }

  /** Asks only while somebody can see the answer. */
  #pace(): void {
    clearInterval(this.#timer);
    if (document.hidden) return;
    void this.#look();
    this.#timer = setInterval(() => void this.#look(), EVERY);
  }

  async #look(): Promise<void> {
    try {
      const now = fingerprint(await this.api.pods());
      const changed = this.#seen !== undefined && this.#seen !== now;
      this.#seen = now;
      // Somebody who is about to confirm something is not disturbed.
      if (changed && !this.querySelector('details[open]')) await this.#refresh();
      else if (changed) this.#seen = '';
    } catch {
      // The pod is away for a moment; the next look tells more.
    }
  }

  async #refresh(): Promise<void> {
    const answer = await fetch(location.pathname, { credentials: 'same-origin', headers: { Accept: 'text/html' } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const [fresh, stale] = [page.getElementById(LIVE), document.getElementById(LIVE)];
    if (fresh && stale) stale.replaceWith(document.adoptNode(fresh));
  }

  /** What is on its way is not sent twice, and the button says that something happens. */
  #submit(event: SubmitEvent): void {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || form.dataset.busy === undefined) return;
    const button = event.submitter ?? form.querySelector('button[type="submit"]');
    if (!(button instanceof HTMLButtonElement)) return;
    const { textContent: label } = button;
    button.disabled = true;
    button.textContent = form.dataset.busy;
    // Back from the browser's memory of pages, the form can be used again.
    window.addEventListener('pageshow', () => {
      button.disabled = false;
      button.textContent = label;
    }, { once: true });
  }
}

customElements.define('friends-live', FriendsLive);
