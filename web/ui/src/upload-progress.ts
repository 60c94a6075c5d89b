// <upload-progress>: takes over the upload form, shows bytes, speed and time left, can be cancelled, and leads to the video. Without it the
// form posts by itself.

import { LitElement, html, nothing } from 'lit';

import { ApiError, type PodApi } from './api.ts';
import { HttpPodApi } from './api-http.ts';
import { bytes, rate, timeLeft } from './format.ts';
import { LEAVE } from './soft-navigation.ts';
import { Pace, apiForm, titleFrom } from './upload-form.ts';

type Phase = { readonly kind: 'idle' } | { readonly kind: 'sending'; readonly name: string; readonly sent: number; readonly total: number; readonly rate: number } | { readonly kind: 'failed'; readonly text: string };

export class UploadProgress extends LitElement {
  static override properties = { phase: { state: true } };

  declare phase: Phase;
  api: PodApi = new HttpPodApi();
  #cancel: AbortController | undefined;
  #form: HTMLFormElement | null = null;
  #listening: AbortController | undefined;

  constructor() {
    super();
    this.phase = { kind: 'idle' };
  }

  override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#form = this.closest('form');
    const form = this.#form;
    if (!form) return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    const input = form.querySelector<HTMLInputElement>('input[type="file"]');
    const title = form.querySelector<HTMLInputElement>('input[name="name"]');
    const suggest = () => {
      const name = input?.files?.[0]?.name;
      if (name && title && title.value === '') title.value = titleFrom(name);
    };
    form.addEventListener('submit', (event) => this.#submit(event, form), { signal });
    input?.addEventListener('change', suggest, { signal });
    // A file dropped anywhere on the page.
    window.addEventListener('dragover', (event) => {
      event.preventDefault();
      form.classList.add('dropping');
    }, { signal });
    window.addEventListener('dragleave', (event) => {
      if (!event.relatedTarget) form.classList.remove('dropping');
    }, { signal });
    window.addEventListener('drop', (event) => {
      event.preventDefault();
      form.classList.remove('dropping');
      if (!input || !event.dataTransfer?.files.length || this.phase.kind === 'sending') return;
      input.files = event.dataTransfer.files;
      suggest();
    }, { signal });
    // A link followed softly would end the upload without a question; the browser asks one.
    document.addEventListener(LEAVE, (event) => {
      if (this.phase.kind === 'sending') event.preventDefault();
    }, { signal });
    window.addEventListener('beforeunload', (event) => {
      if (this.phase.kind === 'sending') event.preventDefault();
    }, { signal });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#listening?.abort();
    this.#cancel?.abort();
  }

  override render(): unknown {
    const { phase } = this;
    if (phase.kind === 'failed') return html`<p class="error" role="alert">${phase.text}</p>`;
    if (phase.kind !== 'sending') return nothing;
    const done = phase.sent >= phase.total;
    const facts = [`${bytes(phase.sent)} of ${bytes(phase.total)}`, rate(phase.rate), timeLeft((phase.total - phase.sent) / phase.rate)];
    return html`<div class="sending">
      <p class="name"><strong>${phase.name}</strong></p>
      <progress max=${phase.total} .value=${phase.sent} aria-label="Sent"></progress>
      <p>${done ? 'All bytes sent; the pod checks the file.' : facts.filter((fact) => fact !== '').join(' · ')}</p>
      ${done ? nothing : html`<button class="button" type="button" @click=${() => this.#cancel?.abort()}>Cancel</button>`}
    </div>`;
  }

  #submit(event: SubmitEvent, form: HTMLFormElement): void {
    event.preventDefault();
    if (this.phase.kind !== 'sending') void this.#send(form);
  }

  async #send(form: HTMLFormElement): Promise<void> {
    const data = apiForm(new FormData(form));
    const file = data.get('videofile');
    if (!(file instanceof File) || file.size === 0) {
      this.phase = { kind: 'failed', text: 'Choose a video file first; this one is empty.' };
      return;
    }
    const { name, size } = file;
    const pace = new Pace();
    const cancel = new AbortController();
    this.#cancel = cancel;
    this.#lock(form, true);
    this.#step('send', 'now');
    this.phase = { kind: 'sending', name, sent: 0, total: size, rate: 0 };
    try {
      const video = await this.api.upload(data, ({ sent, total }) => {
        this.phase = { kind: 'sending', name, sent, total, rate: pace.note(sent, performance.now()) };
        if (sent >= total) {
          this.#step('send', 'done');
          this.#step('check', 'now');
        }
      }, cancel.signal);
      for (const step of ['send', 'check', 'sign', 'tell']) this.#step(step, 'done');
      this.phase = { kind: 'idle' };
      location.assign(`/w/${encodeURIComponent(video.shortUuid)}`);
    } catch (error) {
      const cancelled = error instanceof DOMException && error.name === 'AbortError';
      const why = error instanceof ApiError && error.status === 401 ? 'You are no longer logged in. Log in in another tab, then publish again here.' : error instanceof Error ? error.message : String(error);
      for (const step of ['send', 'check', 'sign', 'tell']) this.#step(step, '');
      if (!cancelled) this.#step('send', 'failed');
      this.phase = cancelled ? { kind: 'idle' } : { kind: 'failed', text: why };
      this.#lock(form, false);
    }
  }

  /** Marks a step of the list beside the form. */
  #step(name: string, state: string): void {
    const item = document.querySelector<HTMLElement>(`#upload-steps [data-step="${name}"]`);
    if (item) item.dataset.state = state;
  }

  #lock(form: HTMLFormElement, locked: boolean): void {
    for (const button of form.querySelectorAll<HTMLButtonElement>('button[type="submit"]')) button.disabled = locked;
  }
}

customElements.define('upload-progress', UploadProgress);
