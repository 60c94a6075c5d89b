// <new-videos>: says above the first page of a list how many videos it lacks by now. Nothing moves until somebody asks for them.

import type { PodApi } from './api.ts';
import { HttpPodApi } from './api-http.ts';
import { podEvents, type PodEvents } from './pod-events.ts';
import { go } from './soft-navigation.ts';

/** Hints come in bursts, and to everybody at once: pages look within this time after the first, in milliseconds. */
const SPREAD = 1_500;

/** How many of the latest videos come before the first that the page shows. */
export function countNew(latest: readonly string[], shown: ReadonlySet<string>): number {
  const first = latest.findIndex((id) => shown.has(id));
  return first < 0 ? latest.length : first;
}

export class NewVideos extends HTMLElement {
  api: PodApi = new HttpPodApi();
  events: PodEvents = podEvents;
  #stop: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  connectedCallback(): void {
    this.#stop = this.events.listen((hint) => {
      if (hint.kind === 'look' || hint.kind === 'video') this.#timer ??= setTimeout(() => void this.#count(), Math.random() * SPREAD);
    });
  }

  disconnectedCallback(): void {
    this.#stop?.();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #count(): Promise<void> {
    this.#timer = undefined;
    const from = this.getAttribute('from');
    const latest = await this.api.latest(from === 'local' ? true : from === 'friends' ? false : undefined).catch(() => undefined);
    if (!latest || !this.isConnected) return;
    const links = document.querySelectorAll<HTMLAnchorElement>('main .card h2 a');
    const count = countNew(latest, new Set([...links].map((link) => link.pathname.replace(/^\/w\//, ''))));
    this.#show(count, count === latest.length && links.length > 0);
  }

  #show(count: number, atLeast: boolean): void {
    if (count === 0) return this.replaceChildren();
    const text = `${count}${atLeast ? ' or more' : ''} new video${count === 1 ? '' : 's'}`;
    const button = this.querySelector('button') ?? this.#button();
    if (button.textContent !== text) button.textContent = text;
  }

  #button(): HTMLButtonElement {
    const button = Object.assign(document.createElement('button'), { type: 'button', className: 'button primary' });
    button.addEventListener('click', () => void go(location.href, { replace: true }).then(() => window.scrollTo({ top: 0 })));
    const status = document.createElement('p');
    status.setAttribute('role', 'status');
    status.append(button);
    this.replaceChildren(status);
    return button;
  }
}

customElements.define('new-videos', NewVideos);
