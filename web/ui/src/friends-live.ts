// <friends-live>: keeps the network page true while somebody looks at it, and sends its forms through the API so that answers come as sentences
// beside the form. The server stays the one who writes the table: when friends or their states change, its part of the page is fetched again.

import { ApiError, type Friend, type PodApi } from './api.ts';
import { HttpPodApi } from './api-http.ts';

const EVERY = 5_000;
const LIVE = 'network-live';

/** What, when it changes, is worth a new table. */
export function fingerprint(friends: readonly Friend[]): string {
  return JSON.stringify(friends.map(({ id, host, state, score }) => [id, host, state, score]));
}

/** Hosts one a line, or between commas and blanks. */
export function splitHosts(text: string): string[] {
  return text.split(/[\s,]+/).filter((host) => host !== '');
}

function text(fields: FormData, name: string): string {
  const value = fields.get(name);
  return typeof value === 'string' ? value : '';
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
      const now = fingerprint(await this.api.friends());
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

  #submit(event: SubmitEvent): void {
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    const action = form.dataset.api;
    if (!action) return;
    event.preventDefault();
    void this.#send(action, form);
  }

  async #send(action: string, form: HTMLFormElement): Promise<void> {
    const buttons = form.querySelectorAll<HTMLButtonElement>('button[type="submit"]');
    for (const button of buttons) button.disabled = true;
    this.#say(form, '');
    try {
      const fields = new FormData(form);
      if (action === 'make-friends') await this.api.makeFriends(splitHosts(text(fields, 'hosts')));
      else if (action === 'remove') await this.api.removeFriend(Number(text(fields, 'id')));
      else if (action === 'quit') await this.api.quitFriends();
      // The whole page: its header counts pods, and its forms depend on there being friends.
      location.reload();
    } catch (error) {
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
        // The API does not take this session: the form itself can.
        form.submit();
        return;
      }
      this.#say(form, error instanceof Error ? error.message : String(error));
      for (const button of buttons) button.disabled = false;
    }
  }

  #say(form: HTMLFormElement, text: string): void {
    let note = form.querySelector<HTMLElement>('p.error');
    if (!note && text === '') return;
    if (!note) {
      note = document.createElement('p');
      note.className = 'error';
      note.setAttribute('role', 'alert');
      form.prepend(note);
    }
    note.hidden = text === '';
    note.textContent = text;
  }
}

customElements.define('friends-live', FriendsLive);
