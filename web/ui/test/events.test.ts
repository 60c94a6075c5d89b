import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { LivePart } from '../src/live-part.ts';
import { NewVideos, countNew } from '../src/new-videos.ts';
import { type Hint, PodEvents, type Source, isOlder, parseHint } from '../src/pod-events.ts';
import { ARRIVE } from '../src/soft-navigation.ts';
import { FakePodApi } from './fake-api.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  document.body.replaceChildren();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A stream whose other end is the test. */
class FakeSource extends EventTarget implements Source {
  readyState = 1;
  readonly url: string;

  constructor(url: string) {
    super();
    this.url = url;
  }

  close() {
    this.readyState = 2;
  }

  say(kind: string, data = '{}', lastEventId = '') {
    this.dispatchEvent(new MessageEvent(kind, { data, lastEventId }));
  }

  fail() {
    this.readyState = 2;
    this.dispatchEvent(new Event('error'));
  }
}

function stream(): { events: PodEvents; sources: FakeSource[] } {
  const sources: FakeSource[] = [];
  const events = new PodEvents((url) => {
    const source = new FakeSource(url);
    sources.push(source);
    return source;
  });
  return { events, sources };
}

const settled = () => vi.advanceTimersByTimeAsync(0);

test('hints are read, and what is not understood is left', () => {
  expect(parseHint('video', '{"id":null,"change":"removed","isLocal":true}')).toEqual({ kind: 'video', id: undefined, change: 'removed', isLocal: true });
  expect(parseHint('swarm', '{"id":"u","seeders":2,"leechers":3,"viewers":4}')).toEqual({ kind: 'swarm', id: 'u', count: 4 });
  expect(parseHint('weather', '{}')).toBeUndefined();
  expect(() => parseHint('video', '{"id":7}')).toThrow('id is not a text');
});

test('a page has one stream, for as long as anybody listens', async () => {
  const { events, sources } = stream();
  const heard: Hint[] = [];
  const stop = events.listen((hint) => heard.push(hint));
  const stopAnother = events.listen(() => undefined, 'uuid');
  await settled();
  expect(sources.map(({ url }) => url)).toEqual(['/api/v1/events?video=uuid']);
  sources[0]?.say('friends', '{}', '1-7');
  sources[0]?.say('video', 'nonsense');
  expect(heard).toEqual([{ kind: 'friends' }]);
  stopAnother();
  await settled();
  // The next one goes on from what was heard last.
  expect(sources.map(({ url }) => url).slice(1)).toEqual(['/api/v1/events?since=1-7']);
  stop();
  await settled();
  expect(sources.map(({ readyState }) => readyState)).toEqual([2, 2]);
});

test('a stream that is refused is tried again, and pages look by themselves', async () => {
  const { events, sources } = stream();
  const heard: Hint[] = [];
  events.listen((hint) => heard.push(hint));
  await settled();
  sources[0]?.fail();
  await vi.advanceTimersByTimeAsync(14_000);
  expect([sources.length, heard.length]).toEqual([1, 0]);
  await vi.advanceTimersByTimeAsync(2_000);
  expect([sources.length, heard]).toEqual([2, [{ kind: 'look' }]]);
});

test('a page that was on its way while a hint came is looked at again', async () => {
  const { events, sources } = stream();
  const arrive = (moment: string) => {
    const main = document.createElement('main');
    main.dataset.moment = moment;
    document.body.replaceChildren(main);
    const heard: Hint[] = [];
    const stop = events.listen((hint) => heard.push(hint));
    document.dispatchEvent(new Event(ARRIVE));
    return { heard, stop };
  };
  const first = arrive('1f-1');
  await settled();
  sources[0]?.say('here', '{}', '1f-1');
  sources[0]?.say('friends', '{}', '1f-2');
  expect(first.heard).toEqual([{ kind: 'friends' }]);
  first.stop();
  const late = arrive('1f-1');
  expect(late.heard).toEqual([{ kind: 'look' }]);
  late.stop();
  // One as new as the last hint lacks nothing, nor does a newer one: the hints it is ahead of are on their way.
  for (const moment of ['1f-2', '1f-10']) {
    const { heard, stop } = arrive(moment);
    expect(heard).toEqual([]);
    stop();
  }
  expect(sources.length).toBe(1);
});

test('moments of one run are numbers, and one of another run tells nothing', () => {
  expect([isOlder('1f-9', '1f-10'), isOlder('1f-10', '1f-9'), isOlder('1f-9', '1f-9'), isOlder('20-9', '1f-2')]).toEqual([true, false, false, true]);
});

test('a part is written anew when what it shows has changed, and not while somebody confirms something', async () => {
  const { events, sources } = stream();
  let asked = 0;
  vi.stubGlobal('fetch', () => {
    asked += 1;
    return Promise.resolve(new Response('<main><live-part id="part"><p>new</p></live-part></main>'));
  });
  const part = Object.assign(new LivePart(), { id: 'part', events });
  part.setAttribute('hints', 'friends');
  const details = document.createElement('details');
  part.append(details);
  document.body.append(part);
  await settled();
  sources[0]?.say('video', '{"id":null,"change":"removed","isLocal":true}');
  await vi.advanceTimersByTimeAsync(5_000);
  expect(asked).toBe(0);
  details.open = true;
  for (let count = 0; count < 5; count += 1) sources[0]?.say('friends');
  await vi.advanceTimersByTimeAsync(5_000);
  expect(asked).toBe(0);
  details.open = false;
  await vi.advanceTimersByTimeAsync(5_000);
  expect([asked, part.textContent]).toEqual([1, 'new']);
});

test('new videos are those before the first that is shown', () => {
  expect(countNew(['d', 'c', 'b', 'a'], new Set(['b', 'a']))).toBe(2);
  expect(countNew(['b'], new Set(['b', 'a']))).toBe(0);
  expect(countNew(['d', 'c'], new Set())).toBe(2);
});

test('the number is said once it is not nought', async () => {
  const { events, sources } = stream();
  const api = new FakePodApi();
  api.list = ['b', 'a'];
  const [main, card, title] = [document.createElement('main'), document.createElement('article'), document.createElement('h2')];
  card.className = 'card';
  title.append(Object.assign(document.createElement('a'), { href: '/w/a' }));
  card.append(title);
  main.append(card);
  document.body.append(main);
  const element = Object.assign(new NewVideos(), { api, events });
  element.setAttribute('from', 'local');
  main.append(element);
  await settled();
  expect(element.textContent).toBe('');
  sources[0]?.say('video', '{"id":"x","change":"published","isLocal":true}');
  await vi.advanceTimersByTimeAsync(2_000);
  expect(api.asked).toEqual(['latest true']);
  expect(element.querySelector('[role="status"] button')?.textContent).toBe('1 new video');
});
