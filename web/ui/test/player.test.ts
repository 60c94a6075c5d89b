import { expect, test } from 'vitest';

import { mayChangeSource } from '../src/change-over.ts';
import { isStunServer, parsePlayerData, reachable } from '../src/page-data.ts';
import { rememberSharing, sharingWanted } from '../src/preference.ts';
import { CENTRE, places } from '../src/swarm-picture.ts';
import { type Client, PageClient, StunServers, type Torrent, answerOnlyFor, clientOptions, obstacle, requestedHash } from '../src/webtorrent.ts';

const PLAYING = { sinceStart: 5_000, paused: false, seeking: false, stalled: false, failed: false };

test('the source changes only where nobody notices', () => {
  expect(mayChangeSource(PLAYING)).toBe(false);
  for (const change of [{ paused: true }, { seeking: true }, { stalled: true }, { failed: true }, { sinceStart: 300 }]) {
    expect(mayChangeSource({ ...PLAYING, ...change })).toBe(true);
  }
});

test('an https page leaves out what its browser would refuse', () => {
  const sources = ['http://a/x', 'https://b/x', 'ws://a/t', 'wss://b/t', 'wss://b/t', 'nonsense', 'javascript:1'];
  expect(reachable(sources, 'https:')).toEqual(['https://b/x', 'wss://b/t']);
  expect(reachable(sources, 'http:')).toEqual(['http://a/x', 'https://b/x', 'ws://a/t', 'wss://b/t']);
});

test('no client ever asks a third party for its address', () => {
  expect(clientOptions([]).tracker).toEqual({ rtcConfig: { iceServers: [] }, announce: [] });
});

test('the STUN servers of a video are asked for as long as it is there', () => {
  const servers = new StunServers();
  const { list } = servers;
  const endFirst = servers.use(['stun:own:1', 'stun:origin:1']);
  const endSecond = servers.use(['stun:own:1', 'stun:other:1']);
  expect(list).toEqual([{ urls: 'stun:own:1' }, { urls: 'stun:origin:1' }, { urls: 'stun:other:1' }]);
  endFirst();
  endFirst();
  expect(list).toEqual([{ urls: 'stun:own:1' }, { urls: 'stun:other:1' }]);
  endSecond();
  expect(list).toEqual([]);
  servers.use(['a', 'b', 'c', 'd', 'e'].map((host) => `stun:${host}:1`));
  expect(list).toHaveLength(4);
});

test('what no browser takes for a STUN server is left out', () => {
  for (const server of ['stun:localhost:9000', 'stun:192.0.2.1:1', 'stun:[2001:db8::1]:65535']) expect(isStunServer(server)).toBe(true);
  for (const server of ['stun:', 'stun:a', 'turn:a:1', 'stun:a b:1', 'stun:a:1?x', 'stun:a_b:1', 'http://a:1']) expect(isStunServer(server)).toBe(false);
});

test('what is missing for a swarm is said in words', () => {
  const page = { isSecureContext: true, RTCPeerConnection: Object, navigator: { serviceWorker: {} } };
  expect(obstacle(page)).toBeUndefined();
  expect(obstacle({ ...page, isSecureContext: false })).toContain('https');
  expect(obstacle({ isSecureContext: true, navigator: { serviceWorker: {} } })).toContain('WebRTC');
  expect(obstacle({ ...page, navigator: {} })).toContain('service worker');
});

const HASH = 'c9e15763f722f23e98a29decdfae341b98d53056';

test('a page answers the worker about its own video alone', () => {
  expect(requestedHash({ url: `http://localhost:9001/webtorrent/${HASH.toUpperCase()}/clip.mp4` })).toBe(HASH);
  expect(requestedHash({ url: 'http://localhost:9001/webtorrent/keepalive/' })).toBeUndefined();
  const container = new EventTarget();
  answerOnlyFor(new Set([HASH]), container);
  const answered: string[] = [];
  container.addEventListener('message', (event) => answered.push((event as MessageEvent<{ url: string }>).data.url));
  const own = `/webtorrent/${HASH}/a`;
  const other = `/webtorrent/${'0'.repeat(40)}/b`;
  for (const url of [own, other]) container.dispatchEvent(new MessageEvent('message', { data: { url } }));
  expect(answered).toEqual([own]);
});

test('once the client broke the next one is asked by the worker', async () => {
  const container = new EventTarget();
  const answered: string[] = [];
  const clients: FakeClient[] = [];
  /** As webtorrent does: it answers the worker whatever it is asked, until it is over. */
  class FakeClient implements Client {
    readonly #answer = (event: Event) => answered.push(`${this.name} ${(event as MessageEvent<{ url: string }>).data.url}`);
    readonly name = `client ${clients.push(this)}`;
    #failed: ((error: Error) => void) | undefined;

    add(): Torrent {
      throw new Error('no torrents here');
    }

    createServer() {
      container.addEventListener('message', this.#answer);
    }

    on(_: 'error', listener: (error: Error) => void) {
      this.#failed = listener;
    }

    destroy() {
      container.removeEventListener('message', this.#answer);
    }

    fail() {
      this.destroy();
      this.#failed?.(new Error('broken'));
    }
  }
  const ask = (hash: string) => container.dispatchEvent(new MessageEvent('message', { data: { url: `/webtorrent/${hash}/a` } }));
  const page = new PageClient(() => Promise.resolve([FakeClient, {} as ServiceWorkerRegistration]), () => container);

  const first = await page.get();
  first.own.add(HASH);
  let told = '';
  first.broken.add((error) => {
    first.own.delete(HASH);
    told = error.message;
  });
  ask(HASH);
  clients[0]?.fail();
  expect(told).toBe('broken');
  ask(HASH);

  const second = await page.get();
  second.own.add(HASH);
  ask(HASH);
  ask('0'.repeat(40));
  expect(answered).toEqual([`client 1 /webtorrent/${HASH}/a`, `client 2 /webtorrent/${HASH}/a`]);
  expect(await page.get()).toBe(second);
});

test('sharing is on unless somebody or their browser said no, and the choice is kept', () => {
  const kept = new Map<string, string>();
  const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
  expect(sharingWanted(storage, {})).toBe(true);
  expect(sharingWanted(storage, { globalPrivacyControl: true })).toBe(false);
  expect(sharingWanted(storage, { connection: { saveData: true } })).toBe(false);
  rememberSharing(storage, true);
  expect(sharingWanted(storage, { globalPrivacyControl: true })).toBe(true);
  rememberSharing(storage, false);
  expect(sharingWanted(storage, {})).toBe(false);
  expect(sharingWanted(undefined, {})).toBe(true);
});

test('page data of another shape is refused', () => {
  expect(() => parsePlayerData({ uuid: 'u', duration: 1, ownHost: 'a', originHost: 'b', trackers: [1], stun: [], p2p: true, files: [] })).toThrow('tracker is not a text');
  expect(parsePlayerData({ uuid: 'u', duration: 1, ownHost: 'a', originHost: 'b', trackers: [], stun: [], p2p: 'yes', files: [] }).p2p).toBe(false);
});

test('everybody in the picture stands inside it and apart from you', () => {
  const connections = Array.from({ length: 40 }, (_, index) => ({ kind: index % 3 === 0 ? 'pod' as const : 'peer' as const, received: index, given: 0, open: true }));
  const spots = places(connections);
  expect(spots.length).toBe(24);
  for (const spot of spots) {
    expect(Math.hypot(spot.x - CENTRE.x, spot.y - CENTRE.y)).toBeGreaterThan(50);
    expect(spot.x).toBeGreaterThan(20);
    expect(spot.x).toBeLessThan(324);
    expect(spot.y).toBeGreaterThan(12);
    expect(spot.y).toBeLessThan(178);
  }
  expect(places([{ kind: 'peer', received: 0, given: 0, open: true }])[0]?.idle).toBe(true);
});
