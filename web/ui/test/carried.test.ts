import { expect, test } from 'vitest';

import golden from '../fixtures/api.json';
import { SourceAccount } from '../src/accounting.ts';
import { parseCarried } from '../src/api.ts';
import { showCarried, sums } from '../src/carried-line.ts';
import { CarriedReports, type Told } from '../src/carried-report.ts';

test('what came and went is told once, and only when there is something', async () => {
  const told: Array<[string, Told]> = [];
  const reports = new CarriedReports((uuid, what) => Promise.resolve(told.push([uuid, what])));
  const account = new SourceAccount();
  reports.count('a', account);
  await reports.tell();
  expect(told).toEqual([]);
  account.received('peer', 10);
  account.received('pod', 20);
  account.gave(3);
  await reports.tell();
  reports.count('a', account);
  await reports.tell();
  expect(told).toEqual([['a', { fromViewers: 10, fromPods: 20, given: 3 }]]);
  account.received('peer', 1);
  const other = new SourceAccount();
  other.httpReached(7);
  reports.count('b', other);
  await reports.tell();
  expect(told.slice(1)).toEqual([['a', { fromViewers: 1, fromPods: 0, given: 0 }], ['b', { fromViewers: 0, fromPods: 7, given: 0 }]]);
});

test('what was not heard is told again with what came since, and never twice at once', async () => {
  const told: Told[] = [];
  const ends: Array<(heard: boolean) => void> = [];
  const reports = new CarriedReports((_, what) => {
    told.push(what);
    return new Promise<void>((resolve, reject) => ends.push((heard) => (heard ? resolve() : reject(new Error('away')))));
  });
  const account = new SourceAccount();
  reports.count('a', account);
  account.received('peer', 10);
  const first = reports.tell();
  account.received('peer', 5);
  await reports.tell();
  expect(told).toHaveLength(1);
  ends[0]?.(false);
  await first;
  const second = reports.tell();
  ends[1]?.(true);
  await second;
  await reports.tell();
  expect(told.map(({ fromViewers }) => fromViewers)).toEqual([10, 15]);
});

test('the figures of a video are read and summed up as the pod does', () => {
  const carried = parseCarried(golden.carried);
  expect(sums(carried)).toEqual({ byViewers: 330, inAll: 1_000 });
  expect(sums({ ...carried, viewers: { fromViewers: 0, fromPods: 900 } })).toEqual({ byViewers: 0, inAll: 900 });
  expect(() => parseCarried({ carried: { webSeed: 1 } })).toThrow('webrtc is not a number');
});

test('the line of that video alone is written anew', () => {
  for (const uuid of ['a', 'b']) {
    const line = document.createElement('p');
    line.dataset.carried = uuid;
    const of = document.createElement('span');
    of.dataset.of = '';
    line.append(Object.assign(document.createElement('strong'), { textContent: '–' }), ' ', of);
    document.body.append(line);
  }
  showCarried(document, 'a', parseCarried(golden.carried));
  expect(document.body.textContent).toBe('33% of 1 kB– ');
});
