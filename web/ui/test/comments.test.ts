import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { ApiError } from '../src/api.ts';
import { Comments } from '../src/comments.ts';
import { FakePodApi } from './fake-api.ts';

let api: FakePodApi;
let comments: Comments;

beforeEach(() => {
  vi.useFakeTimers();
  api = new FakePodApi();
  comments = new Comments(api);
  const page = `
    <div id="list" data-video="v">
      <form id="write"><textarea name="text">Hello</textarea><button type="submit">Comment</button><output></output></form>
      <article data-comment="7" tabindex="-1"><div class="comment-actions"></div></article>
      <article data-comment="8" tabindex="-1"><div class="comment-actions"></div></article>
    </div>
    <form id="report" data-video="v"><select name="predefinedReasons"><option value="rights" selected>Rights</option></select><textarea name="reason">Mine</textarea><output></output></form>`;
  document.body.replaceChildren(...new DOMParser().parseFromString(page, 'text/html').body.childNodes);
});

afterEach(() => vi.useRealTimers());

function article(id: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(`[data-comment="${id}"]`);
  if (!found) throw new Error(`no comment ${id}`);
  return found;
}

function form(id: string): HTMLFormElement {
  return document.getElementById(id) as HTMLFormElement;
}

test('what is written is sent, and the form is empty for more', async () => {
  await comments.write(form('write'));
  expect(api.asked).toEqual(['comment v Hello undefined']);
  expect(form('write').querySelector('textarea')?.value).toBe('');
});

test('what is refused stays, with the reason', async () => {
  api.refuse = new ApiError(429, 'wait 7 s');
  await comments.write(form('write'));
  expect(form('write').querySelector('textarea')?.value).toBe('Hello');
  expect(form('write').querySelector('output')?.textContent).toBe('wait 7 s');
  expect(form('write').querySelector('button')?.disabled).toBe(false);
});

test('a deletion is sent when nobody takes it back', async () => {
  comments.remove(article('7'), false);
  expect(article('7').hidden).toBe(true);
  (document.activeElement as HTMLElement).blur();
  await vi.advanceTimersByTimeAsync(7_000);
  expect(api.asked).toEqual([]);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(api.asked).toEqual(['delete v 7']);
  expect(document.querySelector('.undo')).toBeNull();
});

test('a deletion that is taken back is never sent', async () => {
  comments.remove(article('7'), false);
  document.querySelector<HTMLButtonElement>('.undo button')?.click();
  expect(article('7').hidden).toBe(false);
  expect(document.activeElement).toBe(article('7'));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(api.asked).toEqual([]);
});

test('nobody who stands on the button is hurried', async () => {
  comments.remove(article('7'), false);
  expect(document.activeElement?.textContent).toBe('Undo');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(api.asked).toEqual([]);
  (document.activeElement as HTMLElement).blur();
  await vi.advanceTimersByTimeAsync(1_500);
  expect(api.asked).toEqual(['delete v 7']);
});

test('a fresh list does not show again what was just deleted, and leaving the page deletes it', () => {
  comments.remove(article('7'), true);
  const fresh = document.createElement('article');
  fresh.dataset.comment = '7';
  article('7').replaceWith(fresh);
  comments.cover();
  expect(fresh.hidden).toBe(true);
  comments.flush();
  expect(api.asked).toEqual(['delete v 7']);
  comments.flush();
  expect(api.asked.length).toBe(1);
});

test('a deletion that the pod refuses is shown again, with the reason', async () => {
  api.refuse = new ApiError(403, 'not yours');
  comments.remove(article('8'), false);
  (document.activeElement as HTMLElement).blur();
  await vi.advanceTimersByTimeAsync(9_000);
  expect(article('8').hidden).toBe(false);
  expect(article('8').textContent).toContain('not yours');
});

test('a report says thank you, or why not', async () => {
  api.refuse = new ApiError(400, 'too short');
  await comments.report(form('report'));
  expect(form('report').querySelector('output')?.textContent).toBe('too short');
  api.refuse = undefined;
  await comments.report(form('report'));
  expect(api.asked.at(-1)).toBe('report v rights Mine undefined');
  expect(form('report').textContent).toContain('Thank you');
});
