import { afterEach, expect, test, vi } from 'vitest';

import { ApiError, type Friend } from '../src/api.ts';
import { FriendsLive, fingerprint, splitHosts } from '../src/friends-live.ts';
import { FakePodApi } from './fake-api.ts';

afterEach(() => {
  document.body.replaceChildren();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const friend = (state: string): Friend => ({ id: 1, podId: 'p', host: 'localhost:9002', name: '', score: 20, state });

test('hosts may stand one a line or between commas', () => {
  expect(splitHosts(' localhost:9002\nhttps://pod.example, other:1 \n\n')).toEqual(['localhost:9002', 'https://pod.example', 'other:1']);
  expect(splitHosts('  ')).toEqual([]);
});

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

test('a refusal is said beside the form, as text', async () => {
  const api = new FakePodApi();
  page(api);
  const form = document.createElement('form');
  form.dataset.api = 'make-friends';
  const hosts = Object.assign(document.createElement('textarea'), { name: 'hosts', value: 'nowhere' });
  const button = Object.assign(document.createElement('button'), { type: 'submit' });
  form.append(hosts, button);
  document.body.append(form);
  api.refuse = new ApiError(400, 'host `<b>nowhere` has no pod');
  form.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  await vi.waitFor(() => expect(form.querySelector('.error')?.textContent).toBe('host `<b>nowhere` has no pod'));
  expect(api.asked).toContain('make friends nowhere');
  expect(button.disabled).toBe(false);
});
