import { expect, test } from 'vitest';

import { SourceAccount, bufferedBytes } from '../src/accounting.ts';
import { kindOf } from '../src/swarm-engine.ts';

test('bytes are counted by who brought them', () => {
  const account = new SourceAccount();
  account.received('peer', 900);
  account.received('pod', 50);
  account.httpReached(50);
  account.gave(7);
  expect(account.totals()).toEqual({ fromPeers: 900, fromPods: 100, uploaded: 7 });
});

test('what came over plain HTTP does not vanish when the player drops its buffer', () => {
  const account = new SourceAccount();
  account.httpReached(500);
  account.httpReached(20);
  expect(account.totals().fromPods).toBe(500);
});

test('a rate looks back five seconds', () => {
  const account = new SourceAccount();
  expect(account.sample(0)).toEqual({ down: 0, up: 0 });
  account.received('peer', 2_000);
  account.gave(1_000);
  expect(account.sample(1_000)).toEqual({ down: 2_000, up: 1_000 });
  for (let second = 2; second <= 12; second += 1) account.sample(second * 1_000);
  expect(account.sample(13_000)).toEqual({ down: 0, up: 0 });
});

test('buffered seconds become bytes', () => {
  expect(bufferedBytes([[0, 5], [10, 15]], 20, 1_000)).toBe(500);
  expect(bufferedBytes([[0, 30]], 20, 1_000)).toBe(1_000);
  expect(bufferedBytes([[0, 5]], Number.NaN, 1_000)).toBe(0);
});

test('web seeds and peers that say so are pods, everybody else is a viewer', () => {
  expect(kindOf({ type: 'webSeed' })).toBe('pod');
  expect(kindOf({ type: 'webrtc', peerId: '2d5350303130302d000000000000000000000000' })).toBe('pod');
  expect(kindOf({ type: 'webrtc', peerId: '2d5757303330302d000000000000000000000000' })).toBe('peer');
  expect(kindOf({ type: 'webrtc' })).toBe('peer');
});
