import { afterEach, expect, test, vi } from 'vitest';

import type { Friend } from '../src/api.ts';
import { FriendsLive, fingerprint } from '../src/friends-live.ts';
import { FakePodApi } from './fake-api.ts';

afterEach(() => {
  document.body.replaceChildren();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const friend = (state: string): Friend => ({ id: 1, podId: 'p', host: 'localhost:9002', name: '', score: 20, state });

test('a new state is a new table, a new pod id is not', () => {
  expect(fingerprint([friend('In sync')])).not.toBe(fingerprint([friend('Unreachable')]));
  expect(fingerprint([friend('In sync')])).toBe(fingerprint([{ ...friend('In sync'), podId: 'q' }]));
});

function page(api: FakePodApi): FriendsLive {
  const live = new FriendsLive();
  live.api = api;
  const region = Object.assign(document.createElement('div'), { id: 'network-live', textContent: 'old table' });
  live.append(region);
  document.body.append(live);
  return live;
}

test('the table is fetched again when a state changed, and not before', async () => {
  vi.useFakeTimers();
  const pages: string[] = [];
  vi.stubGlobal('fetch', (url: string) => {
    pages.push(url);
    return Promise.resolve(new Response('<div id="network-live">new table</div>'));
  });
  const api = new FakePodApi();
  api.list = [friend('In sync')];
  page(api);
  await vi.advanceTimersByTimeAsync(11_000);
  expect(pages).toEqual([]);
  expect(api.asked.length).toBe(3);
  api.list = [friend('Unreachable: timed out')];
  await vi.advanceTimersByTimeAsync(5_000);
  expect(pages.length).toBe(1);
  expect(document.getElementById('network-live')?.textContent).toBe('new table');
});

test('a form that was sent says so and is not sent twice', () => {
  page(new FakePodApi());
  const form = document.createElement('form');
  form.dataset.busy = 'Asking the pods…';
  const button = Object.assign(document.createElement('button'), { type: 'submit', textContent: 'Make friends' });
  form.append(button);
  document.body.append(form);
  form.dispatchEvent(new SubmitEvent('submit', { bubbles: true, cancelable: true, submitter: button }));
  expect([button.textContent, button.disabled]).toEqual(['Asking the pods…', true]);
  window.dispatchEvent(new Event('pageshow'));
  expect([button.textContent, button.disabled]).toEqual(['Make friends', false]);
});
