import { expect, test } from 'vitest';

import { show } from '../src/rating-form.ts';
import { ViewReport, enough, moves } from '../src/view-report.ts';

test('half of a short video, or half a minute of a long one, is a view', () => {
  expect([10, 60, 3_600].map(enough)).toEqual([5, 30, 30]);
});

test('a view is told once, and again only when it was not heard', async () => {
  const told: number[] = [];
  let fail = true;
  const report = new ViewReport(10, (seconds) => {
    told.push(seconds);
    return fail ? Promise.reject(new Error('away')) : Promise.resolve();
  });
  for (let second = 1; second <= 4; second += 1) report.played(1, second);
  expect(told).toEqual([]);
  report.played(1, 5.7);
  expect(told).toEqual([5]);
  await Promise.resolve();
  await Promise.resolve();
  fail = false;
  for (let second = 6; second <= 10; second += 1) {
    report.played(1, second);
    await Promise.resolve();
  }
  expect(told).toEqual([5, 6]);
});

test('a video that stands still is not watched', () => {
  const playing = { paused: false, ended: false, seeking: false, readyState: 4 };
  expect(moves(playing)).toBe(true);
  for (const still of [{ paused: true }, { ended: true }, { seeking: true }, { readyState: 2 }]) {
    expect(moves({ ...playing, ...still })).toBe(false);
  }
});

function button(rating: string, value: string, pressed: boolean, count: string): HTMLButtonElement {
  const made = document.createElement('button');
  Object.assign(made.dataset, { rating });
  made.value = value;
  made.setAttribute('aria-pressed', String(pressed));
  const number = document.createElement('span');
  number.dataset.count = count;
  number.textContent = count;
  made.append(number);
  return made;
}

test('a rating shows what was pressed and what pressing again would do', () => {
  const form = document.createElement('form');
  form.append(button('like', 'like', false, '999'), button('dislike', 'none', true, '1'));
  const state = () => [...form.querySelectorAll('button')].map((button) => [button.getAttribute('aria-pressed'), button.value, button.textContent.trim()]);
  show(form, 'like');
  expect(state()).toEqual([['true', 'none', '1,000'], ['false', 'dislike', '0']]);
  show(form, 'none');
  expect(state()).toEqual([['false', 'like', '999'], ['false', 'dislike', '0']]);
});
