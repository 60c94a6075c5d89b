// Who carried the video: bytes by source, and rates over the last seconds. Pure: times are handed in.

export interface SourceTotals {
  /** Bytes from other viewers. */
  readonly fromPeers: number;
  /** Bytes from pods, as web seeds, as WebRTC peers of pods, or by plain HTTP. */
  readonly fromPods: number;
  /** Bytes given to other viewers. */
  readonly uploaded: number;
}

export interface Rates {
  /** Bytes a second. */
  readonly down: number;
  /** Bytes a second. */
  readonly up: number;
}

/** How far back a rate looks, in milliseconds. */
const WINDOW = 5_000;

interface Sample {
  readonly at: number;
  readonly down: number;
  readonly up: number;
}

export class SourceAccount {
  #peers = 0;
  #pods = 0;
  #http = 0;
  #uploaded = 0;
  #samples: Sample[] = [];

  /** Bytes arrived over one connection of the swarm. */
  received(kind: 'peer' | 'pod', count: number): void {
    if (kind === 'peer') this.#peers += count;
    else this.#pods += count;
  }

  /** Bytes went to another viewer. */
  gave(count: number): void {
    this.#uploaded += count;
  }

  /**
   * Plain HTTP has brought about this much of the file so far. The browser does not say how many bytes its player read, so this is
   * the buffered share of the file; it never falls when the player drops what it had.
   */
  httpReached(count: number): void {
    this.#http = Math.max(this.#http, Math.round(count));
  }

  totals(): SourceTotals {
    return { fromPeers: this.#peers, fromPods: this.#pods + this.#http, uploaded: this.#uploaded };
  }

  /** Notes the totals at `now` (milliseconds) and returns the rates since the oldest note of the window. */
  sample(now: number): Rates {
    const { fromPeers, fromPods, uploaded } = this.totals();
    this.#samples.push({ at: now, down: fromPeers + fromPods, up: uploaded });
    // One sample older than the window stays, so that the rate spans all of it.
    while (this.#samples.length > 2 && (this.#samples[1]?.at ?? now) <= now - WINDOW) this.#samples.shift();
    const [first] = this.#samples;
    const seconds = first ? (now - first.at) / 1000 : 0;
    if (!first || seconds <= 0) return { down: 0, up: 0 };
    return { down: (fromPeers + fromPods - first.down) / seconds, up: (uploaded - first.up) / seconds };
  }
}

/** How many bytes of a file of `size` a player has that buffered these ranges (seconds) of `duration`. */
export function bufferedBytes(ranges: ReadonlyArray<readonly [number, number]>, duration: number, size: number): number {
  if (!(duration > 0)) return 0;
  const seconds = ranges.reduce((sum, [start, end]) => sum + Math.max(0, end - start), 0);
  return Math.min(1, seconds / duration) * size;
}
