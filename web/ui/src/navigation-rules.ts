// Which links and pages soft navigation takes. Pure.

import type { PlayerData } from './page-data.ts';

export interface Click {
  readonly button: number;
  readonly metaKey: boolean;
  readonly ctrlKey: boolean;
  readonly shiftKey: boolean;
  readonly altKey: boolean;
}

export interface Link {
  readonly href: string;
  readonly target: string;
  hasAttribute(name: string): boolean;
}

/** Addresses that are no pages, or pages of another kind. */
export const PLAIN_LOAD = ['/api/', '/static/', '/lazy-static/', '/download/', '/assets/', '/ui/', '/vendor/', '/webtorrent/', '/videos/embed/'] as const;

/** Whether a click on a link leads to a page of this pod, in this tab. */
export function isOurs(click: Click, link: Link, here: string): boolean {
  if (click.button !== 0 || click.metaKey || click.ctrlKey || click.shiftKey || click.altKey) return false;
  if ((link.target !== '' && link.target !== '_self') || link.hasAttribute('download') || !URL.canParse(link.href)) return false;
  const [to, from] = [new URL(link.href), new URL(here)];
  if (to.origin !== from.origin || PLAIN_LOAD.some((start) => to.pathname.startsWith(start))) return false;
  // A place on this very page.
  return !(to.hash !== '' && to.pathname === from.pathname && to.search === from.search);
}

/** Whether two pages are made with the same style and scripts: after an upgrade of the pod they are not. */
export function mayStay(present: Pick<ParentNode, 'querySelector'>, fresh: Pick<ParentNode, 'querySelector'>): boolean {
  const made = (page: Pick<ParentNode, 'querySelector'>) => ['link[rel="stylesheet"]', 'head script[type="module"]'].map((first) => {
    const element = page.querySelector(first);
    return element?.getAttribute('href') ?? element?.getAttribute('src') ?? '';
  });
  return made(present).join(' ') === made(fresh).join(' ');
}

/**
 * The hosts that a page with this video may contact, which is what its policy lists. A document keeps the policy of the page that was loaded
 * first: only pages that need no other host may be shown in it.
 */
export function sourcesOf(data: PlayerData | undefined, here: string): Set<string> {
  const addresses = data ? [...data.trackers, ...data.files.flatMap(({ url, webSeed, mirrors }) => [url, webSeed, ...mirrors])] : [];
  return new Set([new URL(here).host, ...addresses.filter((address) => URL.canParse(address, here)).map((address) => new URL(address, here).host)]);
}
