// Tells the pod once that somebody really watched: half a minute, or half of a video that is shorter than a minute.

const LONG_ENOUGH = 30;

/** The seconds of playing after which a video of this length counts as watched. */
export function enough(duration: number): number {
  return Math.min(LONG_ENOUGH, duration / 2);
}

export class ViewReport {
  readonly #enough: number;
  readonly #send: (seconds: number) => Promise<unknown>;
  #watched = 0;
  #sent = false;

  /** `duration` in seconds. */
  constructor(duration: number, send: (seconds: number) => Promise<unknown>) {
    this.#enough = enough(duration);
    this.#send = send;
  }

  /** So many seconds have played, at this place of the video. What is not heard is told again after the next ones. */
  played(seconds: number, at: number): void {
    this.#watched += seconds;
    if (this.#sent || this.#watched < this.#enough) return;
    this.#sent = true;
    this.#send(Math.floor(at)).catch(() => { this.#sent = false; });
  }
}

/** Whether a video moves now. */
export function moves(video: { readonly paused: boolean; readonly ended: boolean; readonly seeking: boolean; readonly readyState: number }): boolean {
  return !video.paused && !video.ended && !video.seeking && video.readyState > 2;
}
