// The real client: REST under /api/v1, with the session cookie of the page.

import { ApiError, type Carried, type PodApi, type Report, type UploadProgress, type Uploaded, parseCarried, parseCommented, parseLatest, parseUploaded, problemText } from './api.ts';
import type { Told } from './carried-report.ts';

export class HttpPodApi implements PodApi {
  readonly #base: string;
  readonly #csrf: () => string;

  /** `csrf` gives the token of the page's forms; it goes along as a header. */
  constructor(csrf: () => string = pageToken, base = '/api/v1') {
    this.#base = base;
    this.#csrf = csrf;
  }

  async latest(isLocal?: boolean): Promise<readonly string[]> {
    return parseLatest(await this.#ask('GET', `/videos?sort=-publishedAt&count=24${isLocal === undefined ? '' : `&isLocal=${isLocal}`}`));
  }

  async view(uuid: string, seconds: number): Promise<void> {
    await this.#ask('POST', `/videos/${encodeURIComponent(uuid)}/views`, { currentTime: seconds });
  }

  async carried(uuid: string, told: Told): Promise<Carried> {
    return parseCarried(await this.#ask('POST', `/videos/${encodeURIComponent(uuid)}/carried`, told, true));
  }

  async keepCopy(uuid: string, keep: boolean): Promise<void> {
    await this.#ask(keep ? 'PUT' : 'DELETE', `/mirrors/videos/${encodeURIComponent(uuid)}`);
  }

  async rate(uuid: string, rating: string): Promise<void> {
    await this.#ask('PUT', `/videos/${encodeURIComponent(uuid)}/rate`, { rating });
  }

  async comment(video: string, text: string, to?: string): Promise<string> {
    const place = to === undefined ? 'comment-threads' : `comments/${encodeURIComponent(to)}`;
    return parseCommented(await this.#ask('POST', `/videos/${encodeURIComponent(video)}/${place}`, { text }));
  }

  async deleteComment(video: string, id: string): Promise<void> {
    await this.#ask('DELETE', `/videos/${encodeURIComponent(video)}/comments/${encodeURIComponent(id)}`);
  }

  async report(video: string, report: Report): Promise<void> {
    const reasons = report.kind === '' ? [] : [report.kind];
    const comment = report.comment === undefined ? {} : { comment: { id: report.comment } };
    await this.#ask('POST', '/abuses', { reason: report.reason, predefinedReasons: reasons, video: { id: video }, ...comment });
  }

  // XMLHttpRequest, because fetch tells nothing about the progress of what it sends.
  upload(form: FormData, onProgress: (progress: UploadProgress) => void, signal: AbortSignal): Promise<Uploaded> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const aborted = () => reject(new DOMException('upload cancelled', 'AbortError'));
      if (signal.aborted) return aborted();
      signal.addEventListener('abort', () => request.abort(), { once: true });
      request.open('POST', `${this.#base}/videos/upload`);
      request.setRequestHeader('X-CSRF-Token', this.#csrf());
      request.setRequestHeader('Accept', 'application/json');
      request.upload.addEventListener('progress', (event) => {
        if (event.lengthComputable) onProgress({ sent: event.loaded, total: event.total });
      });
      request.addEventListener('abort', aborted);
      request.addEventListener('error', () => reject(new ApiError(0, problemText(0, ''))));
      request.addEventListener('load', () => {
        if (request.status < 200 || request.status >= 300) return reject(new ApiError(request.status, problemText(request.status, request.responseText)));
        try {
          resolve(parseUploaded(JSON.parse(request.responseText)));
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
      request.send(form);
    });
  }

  /** `last`: goes on when the page is left. */
  async #ask(method: string, path: string, body?: unknown, last = method === 'DELETE'): Promise<unknown> {
    const headers: Record<string, string> = { Accept: 'application/json', 'X-CSRF-Token': this.#csrf() };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const answer = await fetch(this.#base + path, { method, headers, credentials: 'same-origin', keepalive: last, body: body === undefined ? null : JSON.stringify(body) }).catch(() => {
      throw new ApiError(0, problemText(0, ''));
    });
    const text = await answer.text();
    if (!answer.ok) throw new ApiError(answer.status, problemText(answer.status, text));
    return text === '' ? undefined : JSON.parse(text);
  }
}

function pageToken(): string {
  return document.querySelector<HTMLInputElement>('input[name="csrf"]')?.value ?? '';
}
