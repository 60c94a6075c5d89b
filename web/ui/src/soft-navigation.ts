// Links between the pages of this pod swap what is in <main> instead of leaving the document, so that the videos somebody watched go on being
// given to others. The pages are the server's, unchanged. Whatever is unusual is left to the browser: forms, downloads, errors, pages built
// with other scripts, and pages whose video comes from where this document's policy does not reach.

import { type Click, isOurs, mayStay, sourcesOf } from './navigation-rules.ts';
import { readPlayerData } from './page-data.ts';

/** On the document before its <main> is replaced; whoever must not be interrupted prevents it, and the browser asks. */
export const LEAVE = 'seedpod:leave';
/** On the document after. */
export const ARRIVE = 'seedpod:arrive';

const PATIENCE = 8_000;
/** Nobody needs to see that something loads when it is there in a moment. */
const SHOW_AFTER = 150;
const POSITIONS = 'seedpod.scroll';

/** Where the policy of this document reaches: it was written for the page that was loaded first. */
const reach = sourcesOf(readPlayerData(), location.href);
const positions = new Map<string, number>(stored());
let here = keyOf(history.state) ?? newKey();
let shown = pathOf(location.href);
let going: AbortController | undefined;

/** Shows a page of this pod; `replace` shows the present one anew. */
export async function go(address: string, { replace = false, entry = '' } = {}): Promise<void> {
  going?.abort();
  const attempt = new AbortController();
  going = attempt;
  const leave = () => (entry === '' && !replace ? location.assign(address) : location.reload());
  if (!document.dispatchEvent(new Event(LEAVE, { cancelable: true }))) return leave();
  const slow = setTimeout(() => document.documentElement.classList.add('going'), SHOW_AFTER);
  const late = setTimeout(() => attempt.abort(new Error('too late')), PATIENCE);
  try {
    const page = await fetchPage(address, attempt.signal);
    if (attempt !== going) return;
    if (!page) return leave();
    remember();
    const url = page.url + new URL(address, location.href).hash;
    if (entry !== '') here = entry;
    else if (!replace) {
      here = newKey();
      history.pushState({ key: here }, '', url);
    }
    shown = pathOf(location.href);
    show(page.document);
    settle(entry !== '' || replace ? (positions.get(here) ?? 0) : 0);
  } catch {
    // A newer click took over, or the pod did not answer as it should: then the browser says so better.
    if (attempt === going) leave();
  } finally {
    clearTimeout(slow);
    clearTimeout(late);
    if (attempt === going) {
      going = undefined;
      document.documentElement.classList.remove('going');
    }
  }
}

/** A page and its scripts; nothing when it has to be loaded in the plain way. */
async function fetchPage(address: string, signal: AbortSignal): Promise<{ url: string; document: Document } | undefined> {
  const answer = await fetch(address, { headers: { Accept: 'text/html' }, credentials: 'same-origin', signal });
  const kind = answer.headers.get('Content-Type') ?? '';
  if (!answer.ok || !kind.startsWith('text/html') || new URL(answer.url).origin !== location.origin) return undefined;
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
  if (!fresh.querySelector('main') || !mayStay(document, fresh) || ![...sourcesOf(readPlayerData(fresh), location.href)].every((host) => reach.has(host))) return undefined;
  const scripts = [...fresh.querySelectorAll<HTMLScriptElement>('head script[type="module"][src]')];
  await Promise.all(scripts.map((script) => import(/* @vite-ignore */ new URL(script.getAttribute('src') ?? '', location.href).href)));
  return { url: answer.url, document: fresh };
}

function show(fresh: Document): void {
  document.title = fresh.title;
  const about = 'link[rel="canonical"], meta[property^="og:"], script[type="application/ld+json"]';
  for (const old of document.head.querySelectorAll(about)) old.remove();
  document.head.append(...[...fresh.head.querySelectorAll(about)].map((element) => document.adoptNode(element)));
  for (const part of ['.top-links', 'main']) {
    const [old, next] = [document.querySelector(part), fresh.querySelector(part)];
    if (old && next) old.replaceWith(document.adoptNode(next));
  }
  const [search, wanted] = [document.querySelector<HTMLInputElement>('.search input'), fresh.querySelector<HTMLInputElement>('.search input')];
  if (search && wanted) search.value = wanted.value;
  document.dispatchEvent(new Event(ARRIVE));
}

/** Puts people where a loaded page would have put them, and lets screen readers say where that is. */
function settle(top: number): void {
  const target = location.hash === '' ? null : document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const heading = document.querySelector<HTMLElement>('main h1');
  if (heading) heading.tabIndex = -1;
  (document.querySelector<HTMLElement>('main [autofocus]') ?? heading)?.focus({ preventScroll: true });
  if (target && top === 0) target.scrollIntoView();
  else window.scrollTo({ top, behavior: 'instant' });
}

function remember(): void {
  positions.set(here, window.scrollY);
}

function pathOf(address: string): string {
  const { pathname, search } = new URL(address);
  return pathname + search;
}

function keyOf(state: unknown): string | undefined {
  return typeof state === 'object' && state !== null && 'key' in state && typeof state.key === 'string' ? state.key : undefined;
}

function newKey(): string {
  return Math.random().toString(36).slice(2);
}

function stored(): Array<[string, number]> {
  try {
    const list: unknown = JSON.parse(sessionStorage.getItem(POSITIONS) ?? '[]');
    return Array.isArray(list) ? list.filter((pair): pair is [string, number] => Array.isArray(pair) && typeof pair[0] === 'string' && typeof pair[1] === 'number') : [];
  } catch {
    return [];
  }
}

function store(): void {
  remember();
  try {
    sessionStorage.setItem(POSITIONS, JSON.stringify([...positions].slice(-50)));
  } catch {
    // Forbidden; then a page that is loaded again begins at its top.
  }
}

/** Takes over the links of this document. */
export function navigateSoftly(): void {
  history.replaceState({ key: here }, '');
  history.scrollRestoration = 'manual';
  if (location.hash === '' && positions.has(here)) window.scrollTo({ top: positions.get(here) ?? 0, behavior: 'instant' });
  window.addEventListener('pagehide', store);
  window.addEventListener('scroll', remember, { passive: true });
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>('a[href]') : null;
    if (!link || event.defaultPrevented || !isOurs(event satisfies Click, link, location.href)) return;
    event.preventDefault();
    void go(link.href);
  });
  window.addEventListener('popstate', (event) => {
    // Places within one page are the browser's.
    if (pathOf(location.href) === shown && going === undefined) return;
    const entry = keyOf(event.state);
    if (entry === undefined) return location.hash === '' ? location.reload() : undefined;
    void go(location.href, { entry });
  });
}

