// When the player may change its source without anybody noticing: before it started, and at a seek, a pause or a stall. Pure.

/** For this long after somebody pressed play, in milliseconds, the swarm may still take over: the video has hardly begun. */
export const START_BUDGET = 700;

export interface Moment {
  /** Milliseconds since play was pressed, or since the swarm was asked for. */
  readonly sinceStart: number;
  readonly paused: boolean;
  readonly seeking: boolean;
  /** It plays, but has nothing left to show. */
  readonly stalled: boolean;
  /** The present source cannot be had at all. */
  readonly failed: boolean;
}

export function mayChangeSource(moment: Moment): boolean {
  return moment.failed || moment.paused || moment.seeking || moment.stalled || moment.sinceStart <= START_BUDGET;
}
