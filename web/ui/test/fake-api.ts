// The other client: keeps everything in memory and remembers what was asked.

import type { ApiError, Carried, PodApi, Report, UploadProgress, Uploaded } from '../src/api.ts';
import type { Told } from '../src/carried-report.ts';

export class FakePodApi implements PodApi {
  list: string[] = [];
  readonly asked: string[] = [];
  refuse: ApiError | undefined;
  uploaded: FormData | undefined;

  latest(isLocal?: boolean): Promise<readonly string[]> {
    return this.#answer(`latest ${isLocal}`, this.list);
  }

  upload(form: FormData, onProgress: (progress: UploadProgress) => void, signal: AbortSignal): Promise<Uploaded> {
    this.uploaded = form;
    onProgress({ sent: 500_000, total: 1_000_000 });
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new DOMException('upload cancelled', 'AbortError')));
      if (this.refuse) reject(this.refuse);
      else this.finish.push(() => resolve({ uuid: 'u', shortUuid: 's' }));
    });
  }

  view(uuid: string, seconds: number): Promise<void> {
    return this.#answer(`view ${uuid} ${seconds}`, undefined);
  }

  carried(uuid: string, told: Told): Promise<Carried> {
    const viewers = { fromViewers: told.fromViewers, fromPods: told.fromPods };
    return this.#answer(`carried ${uuid} ${told.given}`, { webSeed: 0, webrtc: 0, tcp: 0, viewers });
  }

  keepCopy(uuid: string, keep: boolean): Promise<void> {
    return this.#answer(`keep ${uuid} ${keep}`, undefined);
  }

  rate(uuid: string, rating: string): Promise<void> {
    return this.#answer(`rate ${uuid} ${rating}`, undefined);
  }

  comment(video: string, text: string, to?: string): Promise<string> {
    return this.#answer(`comment ${video} ${text} ${to}`, 'new');
  }

  deleteComment(video: string, id: string): Promise<void> {
    return this.#answer(`delete ${video} ${id}`, undefined);
  }

  report(video: string, report: Report): Promise<void> {
    return this.#answer(`report ${video} ${report.kind} ${report.reason} ${report.comment}`, undefined);
  }

  /** Calls that let waiting uploads finish. */
  readonly finish: Array<() => void> = [];

  #answer<T>(question: string, value: T): Promise<T> {
    this.asked.push(question);
    return this.refuse ? Promise.reject(this.refuse) : Promise.resolve(value);
  }
}
