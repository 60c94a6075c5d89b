// The other client: keeps everything in memory and remembers what was asked.

import type { ApiError, PodApi, UploadProgress, Uploaded } from '../src/api.ts';

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

  rate(uuid: string, rating: string): Promise<void> {
    return this.#answer(`rate ${uuid} ${rating}`, undefined);
  }

  /** Calls that let waiting uploads finish. */
  readonly finish: Array<() => void> = [];

  #answer<T>(question: string, value: T): Promise<T> {
    this.asked.push(question);
    return this.refuse ? Promise.reject(this.refuse) : Promise.resolve(value);
  }
}
