import { describe, expect, test } from 'vitest';

import fixture from '../fixtures/format.json';
import { bytes, clock, percent, rate, relative, timeLeft } from '../src/format.ts';

describe('texts are those the server writes', () => {
  test.each(fixture.percent as Array<[number, number, string]>)('percent(%d, %d) is %s', (part, whole, text) => expect(percent(part, whole)).toBe(text));
  test.each(fixture.bytes as Array<[number, string]>)('bytes(%d) is %s', (number, text) => expect(bytes(number)).toBe(text));
  test.each(fixture.clock as Array<[number, string]>)('clock(%d) is %s', (number, text) => expect(clock(number)).toBe(text));
  test.each(fixture.relative as Array<[number, string]>)('%d ms ago is %s', (age, text) => expect(relative(1_800_000_000_000 - age, 1_800_000_000_000)).toBe(text));
});

test('a percentage says 100 only when nothing came from elsewhere', () => {
  expect(percent(0, 0)).toBe('0%');
  expect(percent(999, 1000)).toBe('99%');
  expect(percent(1, 1000)).toBe('1%');
  expect(percent(1000, 1000)).toBe('100%');
});

test('rates and times left can be read', () => {
  expect(rate(3_120_000)).toBe('3.1 MB/s');
  expect(timeLeft(29.4)).toBe('29 seconds left');
  expect(timeLeft(600)).toBe('10 minutes left');
  expect(timeLeft(0)).toBe('1 second left');
  expect(timeLeft(Number.NaN)).toBe('');
  expect(timeLeft(Number.POSITIVE_INFINITY)).toBe('');
});

test('a time in the future reads now', () => {
  expect(relative(2_000, 1_000)).toBe('now');
});
