import { expect, test } from 'vitest';

import { ownKey } from '../src/player-keys.ts';

const playing = { time: 5, duration: 20, paused: false };

test('digits lead to tenths, Home and End to the ends', () => {
  expect([ownKey('0', playing), ownKey('5', playing), ownKey('9', playing)]).toEqual([0, 10, 18]);
  expect([ownKey('Home', playing), ownKey('End', playing)]).toEqual([0, 20]);
});

test('a frame is stepped only while the video stands still, and never over its ends', () => {
  expect(ownKey('.', playing)).toBeUndefined();
  expect(ownKey('.', { ...playing, paused: true })).toBeCloseTo(5.04);
  expect(ownKey(',', { time: 0.01, duration: 20, paused: true })).toBe(0);
  expect(ownKey('.', { time: 20, duration: 20, paused: true })).toBe(20);
});

test('other keys, and all keys before the length is known, are left to others', () => {
  expect(ownKey('k', playing)).toBeUndefined();
  expect(ownKey('5', { ...playing, duration: Number.NaN })).toBeUndefined();
});
