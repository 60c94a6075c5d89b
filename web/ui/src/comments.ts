// Comments and reports without leaving the page, which would stop the video. All forms work on their own as well.

import { ApiError, type PodApi } from './api.ts';
import { HttpPodApi } from './api-http.ts';
import type { LivePart } from './live-part.ts';
import { LEAVE } from './soft-navigation.ts';

/** How long a deletion can be taken back, in milliseconds. While the button has the focus it waits. */
const UNDO = 8_000;

/** A deletion that was not sent yet. */
interface Pending {
  readonly video: string;
  readonly notice: HTMLElement;
  timer: ReturnType<typeof setTimeout>;
}

export class Comments {
  readonly #api: PodApi;
  /** By the number of the comment. */
  readonly #pending = new Map<string, Pending>();

  constructor(api: PodApi) {
    this.#api = api;
  }

  /** Sends what somebody wrote, and shows it below. */
  async write(form: HTMLFormElement): Promise<void> {
    const fields = new FormData(form);
    const button = form.querySelector<HTMLButtonElement>('button[type="submit"]');
    if (button) button.disabled = true;
    try {
      const to = fields.get('to');
      const id = await this.#api.comment(videoOf(form), text(fields.get('text')), to === null ? undefined : text(to));
      form.reset();
      // A text that the server had put there would come back.
      for (const area of form.querySelectorAll('textarea')) area.value = '';
      form.querySelector('.error')?.remove();
      say(form, '');
      form.closest('details')?.removeAttribute('open');
      await part(form)?.look(true);
      const written = document.getElementById(`comment-${id}`);
      written?.scrollIntoView({ block: 'nearest' });
      written?.focus({ preventScroll: true });
    } catch (error) {
      say(form, sentence(error));
    } finally {
      if (button) button.disabled = false;
    }
  }

  /** Takes a comment off the page, and away for good when nobody takes that back. One that is hidden can be shown again later. */
  remove(article: HTMLElement, reversible: boolean): void {
    const id = article.dataset.comment ?? '';
    const video = videoOf(article);
    if (id === '' || this.#pending.has(id)) return;
    article.querySelectorAll('details[open]').forEach((details) => details.removeAttribute('open'));
    const notice = this.#notice(reversible ? 'The comment is hidden.' : 'The comment is deleted.', () => this.#undo(id));
    this.#pending.set(id, { video, notice, timer: setTimeout(() => this.#finish(id), UNDO) });
    cover(article, notice);
    notice.querySelector('button')?.focus({ preventScroll: true });
  }

  /** Covers again what a fresh list shows and somebody has just deleted. */
  cover(): void {
    for (const [id, { notice }] of this.#pending) {
      const article = document.querySelector<HTMLElement>(`[data-comment="${CSS.escape(id)}"]`);
      if (article) cover(article, notice);
    }
  }

  /** Sends what waits: the page is going. */
  flush(): void {
    for (const [id, { video, timer, notice }] of this.#pending) {
      clearTimeout(timer);
      notice.remove();
      this.#pending.delete(id);
      this.#api.deleteComment(video, id).catch(() => {
        // Nobody is there to be told; the comment is still there on the next page.
      });
    }
  }

  /** Sends a report. */
  async report(form: HTMLFormElement): Promise<void> {
    const fields = new FormData(form);
    const comment = fields.get('comment');
    try {
      await this.#api.report(videoOf(form), {
        reason: text(fields.get('reason')),
        kind: text(fields.get('predefinedReasons')),
        comment: comment === null ? undefined : text(comment),
      });
      const thanks = document.createElement('p');
      thanks.setAttribute('role', 'status');
      thanks.tabIndex = -1;
      thanks.textContent = 'Thank you. The people who answer for it will see your report.';
      form.replaceChildren(thanks);
      thanks.focus({ preventScroll: true });
    } catch (error) {
      say(form, sentence(error));
    }
  }

  #undo(id: string): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    clearTimeout(pending.timer);
    this.#pending.delete(id);
    pending.notice.remove();
    const article = document.querySelector<HTMLElement>(`[data-comment="${CSS.escape(id)}"]`);
    if (!article) return;
    article.hidden = false;
    article.focus({ preventScroll: true });
  }

  #finish(id: string): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    // Whoever stands on the button is about to decide.
    if (pending.notice.contains(document.activeElement)) {
      pending.timer = setTimeout(() => this.#finish(id), 1_000);
      return;
    }
    const list = part(pending.notice);
    this.#api.deleteComment(pending.video, id).then(
      () => {
        this.#pending.delete(id);
        pending.notice.remove();
        void list?.look(true);
      },
      (error: unknown) => {
        this.#undo(id);
        const article = document.querySelector(`[data-comment="${CSS.escape(id)}"] .comment-actions`);
        const trouble = document.createElement('output');
        trouble.textContent = sentence(error);
        article?.append(trouble);
      },
    );
  }

  #notice(words: string, undo: () => void): HTMLElement {
    const notice = document.createElement('p');
    notice.className = 'undo row';
    const status = document.createElement('span');
    status.setAttribute('role', 'status');
    status.textContent = words;
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'button';
    button.textContent = 'Undo';
    button.addEventListener('click', undo);
    notice.append(status, button);
    return notice;
  }
}

function cover(article: HTMLElement, notice: HTMLElement): void {
  article.hidden = true;
  article.before(notice);
}

function videoOf(element: Element): string {
  return element.closest<HTMLElement>('[data-video]')?.dataset.video ?? element.closest('live-part')?.getAttribute('video') ?? '';
}

function part(element: Element): LivePart | null {
  return element.closest<LivePart>('live-part');
}

function text(value: FormDataEntryValue | null): string {
  return typeof value === 'string' ? value : '';
}

function say(form: HTMLFormElement, words: string): void {
  const output = form.querySelector('output');
  if (output) output.textContent = words;
}

function sentence(error: unknown): string {
  return error instanceof ApiError ? error.message : 'The pod did not take it.';
}

/** Takes over the forms of this document. */
export function takeOver(comments: Comments): void {
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    if (form.matches('[data-comment-form]')) {
      event.preventDefault();
      void comments.write(form);
    } else if (form.matches('[data-report-form]')) {
      event.preventDefault();
      void comments.report(form);
    }
  });
  document.addEventListener('click', (event) => {
    const summary = event.target instanceof Element ? event.target.closest('.removal > summary') : null;
    const article = summary?.closest<HTMLElement>('[data-comment]');
    if (!summary || !article) return;
    // Without scripts it asks first; with them it can be taken back.
    event.preventDefault();
    comments.remove(article, summary.parentElement?.dataset.reversible === 'true');
  });
  document.addEventListener('toggle', (event) => {
    const details = event.target;
    if (details instanceof HTMLDetailsElement && details.open && details.matches('.reply, .report')) details.querySelector('textarea')?.focus();
  }, true);
  document.addEventListener('keydown', (event) => {
    const area = event.target;
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey) || !(area instanceof HTMLTextAreaElement)) return;
    const form = area.closest<HTMLFormElement>('[data-comment-form]');
    if (!form) return;
    event.preventDefault();
    form.requestSubmit();
  });
  document.addEventListener('seedpod:fresh', () => comments.cover());
  document.addEventListener(LEAVE, () => comments.flush());
  window.addEventListener('pagehide', () => comments.flush());
}

takeOver(new Comments(new HttpPodApi()));
