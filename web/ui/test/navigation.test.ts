import { expect, test } from 'vitest';

import { isOurs, mayStay, sourcesOf } from '../src/navigation-rules.ts';

const HERE = 'http://localhost:9001/network?done=friends';
const click = { button: 0, metaKey: false, ctrlKey: false, shiftKey: false, altKey: false };

function link(href: string, attributes: Record<string, string> = {}) {
  return { href: new URL(href, HERE).href, target: attributes.target ?? '', hasAttribute: (name: string) => name in attributes };
}

test('links to pages of this pod are ours', () => {
  for (const href of ['/', '/w/abc', '/?from=local', '/network', '/network?done=friends', '/w/abc#comments']) expect(isOurs(click, link(href), HERE), href).toBe(true);
});

test('what leads elsewhere, or is no page, is the browser\'s', () => {
  const others = ['http://localhost:9002/', 'https://localhost:9001/', 'magnet:?xt=urn:btih:x', 'javascript:0', '/static/webseed/a.mp4', '/api/v1/videos', '/videos/embed/x', '/network?done=friends#main'];
  for (const href of others) expect(isOurs(click, link(href), HERE), href).toBe(false);
  expect(isOurs(click, link('/', { target: '_blank' }), HERE)).toBe(false);
  expect(isOurs(click, link('/', { download: '' }), HERE)).toBe(false);
  for (const key of ['metaKey', 'ctrlKey', 'shiftKey', 'altKey']) expect(isOurs({ ...click, [key]: true }, link('/'), HERE), key).toBe(false);
  expect(isOurs({ ...click, button: 1 }, link('/'), HERE)).toBe(false);
});

function page(css: string, script: string): HTMLElement {
  const page = document.createElement('div');
  const head = document.createElement('head');
  // Not a document: happy-dom would go and fetch the style.
  const link = document.createElement('a');
  link.setAttribute('href', css);
  const made = document.createElement('script');
  made.setAttribute('type', 'module');
  made.setAttribute('src', script);
  head.append(made);
  page.append(link, head);
  return Object.assign(page, { querySelector: (selector: string) => (selector.startsWith('link') ? link : made) });
}

test('pages of another build are loaded', () => {
  expect(mayStay(page('/a.css', '/a.js'), page('/a.css', '/a.js'))).toBe(true);
  expect(mayStay(page('/a.css', '/a.js'), page('/b.css', '/a.js'))).toBe(false);
  expect(mayStay(page('/a.css', '/a.js'), page('/a.css', '/b.js'))).toBe(false);
});

test('a page names the hosts of its video and its own', () => {
  expect(sourcesOf(undefined, HERE)).toEqual(new Set(['localhost:9001']));
  const file = { label: '', resolution: 0, size: 0, infoHash: '', magnet: '', torrentUrl: '/static/torrents/x', url: 'http://localhost:9003/static/webseed/x.mp4', webSeed: 'http://localhost:9004/x.mp4', mirrors: [] };
  const data = { uuid: '', duration: 0, ownHost: '', originHost: '', trackers: ['ws://localhost:9001/tracker/socket', 'ws://localhost:9003/tracker/socket'], stun: [], p2p: true, files: [file, { ...file, url: '/static/webseed/y.mp4' }] };
  expect([...sourcesOf(data, HERE)].sort()).toEqual(['localhost:9001', 'localhost:9003', 'localhost:9004']);
});
