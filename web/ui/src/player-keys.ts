// Keys of the player beside those of media-chrome (space, k, j, l, m, f, c, p, arrows, < and >, ? for the list). Pure.

export interface Playback {
  /** Seconds. */
  readonly time: number;
  /** Seconds; not a number until it is known. */
  readonly duration: number;
  readonly paused: boolean;
}

/** The length of a frame, in seconds: browsers do not tell, and at 25 a second a step is seen. */
const FRAME = 1 / 25;

/** Where a key leads, in seconds, or nothing when it is not ours: digits to tenths, Home and End, comma and full stop by a frame. */
export function ownKey(key: string, { time, duration, paused }: Playback): number | undefined {
  if (!Number.isFinite(duration)) return undefined;
  if (/^[0-9]$/.test(key)) return (duration * Number(key)) / 10;
  if (key === 'Home') return 0;
  if (key === 'End') return duration;
  if (paused && key === ',') return Math.max(0, time - FRAME);
  if (paused && key === '.') return Math.min(duration, time + FRAME);
  return undefined;
}
