// What somebody watched and went on from: the page keeps giving it to others for as long as they browse. Bounded in number and bytes; the
// oldest goes first.

import { bytes } from './format.ts';

/** What must be known of a video in the swarm to keep it. */
export interface Keepable {
  readonly file: { readonly infoHash: string };
  /** Bytes that are here. */
  readonly held: number;
  readonly account: { totals(): { readonly uploaded: number } };
  /** Goes on without a viewer; `ended` is told when that is over by itself. */
  rest(ended: () => void): void;
  leave(): void;
}

export const MOST_VIDEOS = 4;
export const MOST_BYTES = 1_000_000_000;

export class KeptVideos<T extends Keepable> extends EventTarget {
  readonly #kept = new Map<string, T>();

  /** Goes on with a video that is no longer watched; leaves one of which nothing is here. */
  keep(video: T): void {
    if (video.held === 0 || video.held > MOST_BYTES) return video.leave();
    video.rest(() => {
      if (this.#kept.get(video.file.infoHash) === video) this.take(video.file.infoHash);
    });
    this.#kept.set(video.file.infoHash, video);
    const total = () => [...this.#kept.values()].reduce((sum, { held }) => sum + held, 0);
    for (const [hash, oldest] of this.#kept) {
      if (this.#kept.size <= MOST_VIDEOS && total() <= MOST_BYTES) break;
      this.#kept.delete(hash);
      oldest.leave();
    }
    this.#changed();
  }

  /** Hands a video over to who watches it again. */
  take(infoHash: string): T | undefined {
    const video = this.#kept.get(infoHash);
    if (this.#kept.delete(infoHash)) this.#changed();
    return video;
  }

  /** Leaves all of them. */
  stop(): void {
    for (const video of this.#kept.values()) video.leave();
    this.#kept.clear();
    this.#changed();
  }

  get count(): number {
    return this.#kept.size;
  }

  /** Bytes given, all of them together. */
  get given(): number {
    return [...this.#kept.values()].reduce((sum, { account }) => sum + account.totals().uploaded, 0);
  }

  #changed(): void {
    this.dispatchEvent(new Event('change'));
  }
}

/** The words of the chip. */
export function sharingText(count: number, given: number): string {
  return `Sharing ${count} video${count === 1 ? '' : 's'} you watched${given > 0 ? ` · ${bytes(given)} given` : ''}`;
}
