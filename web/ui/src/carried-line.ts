// The line below the swarm that says how much of a video its viewers carried, all of them together: `CarriedView` of the server, kept true by
// what the pod answers to this page's own tellings.

import type { Carried } from './api.ts';
import { bytes, percent } from './format.ts';

/** Bytes that viewers carried for each other, and bytes that anybody did: the same sums as `Figures` in the pod. */
export function sums({ webSeed, webrtc, tcp, viewers }: Carried): { byViewers: number; inAll: number } {
  const byPods = Math.max(webSeed + webrtc + tcp, viewers.fromPods);
  return { byViewers: viewers.fromViewers, inAll: viewers.fromViewers + byPods };
}

/** Writes new figures of a video where the page shows it. */
export function showCarried(page: ParentNode, uuid: string, carried: Carried): void {
  const line = page.querySelector(`[data-carried="${CSS.escape(uuid)}"]`);
  const { byViewers, inAll } = sums(carried);
  const [share, of] = [line?.querySelector('strong'), line?.querySelector('[data-of]')];
  if (share) share.textContent = inAll > 0 ? percent(byViewers, inAll) : '–';
  if (of) of.textContent = `of ${bytes(inAll)}`;
}
