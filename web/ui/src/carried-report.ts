// Tells the pod what this page got and gave, in bytes since it last told, for every video it takes part in. What was not heard is told again,
// together with what came since. The pod believes it within bounds, for everybody to see who carries a video.

import type { SourceTotals } from './accounting.ts';

/** What is told at once, in bytes. */
export interface Told {
  readonly fromViewers: number;
  readonly fromPods: number;
  readonly given: number;
}

interface Counted {
  readonly uuid: string;
  /** What the pod has heard so far. */
  heard: SourceTotals;
  /** A telling is on its way. */
  busy: boolean;
}

export class CarriedReports {
  readonly #send: (uuid: string, told: Told) => Promise<unknown>;
  readonly #counted = new Map<{ totals(): SourceTotals }, Counted>();

  constructor(send: (uuid: string, told: Told) => Promise<unknown>) {
    this.#send = send;
  }

  /** What this account counts is of that video, and told from now on. Saying so again changes nothing. */
  count(uuid: string, account: { totals(): SourceTotals }): void {
    if (!this.#counted.has(account)) this.#counted.set(account, { uuid, heard: { fromPeers: 0, fromPods: 0, uploaded: 0 }, busy: false });
  }

  /** Tells what is new; nothing where there is nothing. */
  async tell(): Promise<void> {
    await Promise.all([...this.#counted].map(([account, counted]) => this.#tell(account.totals(), counted)));
  }

  async #tell(now: SourceTotals, counted: Counted): Promise<void> {
    const { heard } = counted;
    const told = { fromViewers: now.fromPeers - heard.fromPeers, fromPods: now.fromPods - heard.fromPods, given: now.uploaded - heard.uploaded };
    if (counted.busy || told.fromViewers + told.fromPods + told.given === 0) return;
    counted.busy = true;
    try {
      await this.#send(counted.uuid, told);
      counted.heard = now;
    } catch {
      // The pod is away, or has heard enough for now: the next time tells this as well.
    } finally {
      counted.busy = false;
    }
  }
}
