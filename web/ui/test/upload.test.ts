import { afterEach, expect, test } from 'vitest';

import { ApiError } from '../src/api.ts';
import { Pace, apiForm, splitTags, titleFrom } from '../src/upload-form.ts';
import { UploadProgress } from '../src/upload-progress.ts';
import { FakePodApi } from './fake-api.ts';

afterEach(() => document.body.replaceChildren());

test('the form becomes what the API takes, the file last', () => {
  const form = new FormData();
  form.append('csrf', 'token');
  form.append('videofile', new File(['bytes'], 'clip.mp4', { type: 'video/mp4' }));
  form.append('name', 'A clip');
  form.append('description', '');
  form.append('tags', 'one, two,, one , three,four,five,six');
  expect([...apiForm(form)].map(([name, value]) => [name, value instanceof File ? value.name : value])).toEqual([
    ['name', 'A clip'],
    ['tags[]', 'one'], ['tags[]', 'two'], ['tags[]', 'three'], ['tags[]', 'four'], ['tags[]', 'five'],
    ['videofile', 'clip.mp4'],
  ]);
});

test('tags and titles are tidied', () => {
  expect(splitTags(' , ')).toEqual([]);
  expect(titleFrom('river-kayak_2.mp4')).toBe('river kayak 2');
  expect(titleFrom('v1.2 final.webm')).toBe('v1.2 final');
});

test('a pace settles on the rate', () => {
  const pace = new Pace();
  expect(pace.note(0, 0)).toBe(0);
  for (let second = 1; second <= 20; second += 1) pace.note(second * 1_000, second * 1_000);
  expect(pace.note(21_000, 21_000)).toBeCloseTo(1_000);
});

async function form(api: FakePodApi): Promise<{ element: UploadProgress; submit: () => Promise<void>; button: HTMLButtonElement }> {
  const form = document.createElement('form');
  const element = new UploadProgress();
  element.api = api;
  const name = Object.assign(document.createElement('input'), { name: 'name', value: 'A clip' });
  const input = Object.assign(document.createElement('input'), { type: 'file', name: 'videofile' });
  const button = Object.assign(document.createElement('button'), { type: 'submit' });
  form.append(element, name, input, button);
  document.body.append(form);
  const transfer = new DataTransfer();
  transfer.items.add(new File(['x'.repeat(100)], 'clip.mp4', { type: 'video/mp4' }));
  input.files = transfer.files;
  await element.updateComplete;
  const submit = async () => {
    form.dispatchEvent(new Event('submit', { cancelable: true, bubbles: true }));
    await Promise.resolve();
    await element.updateComplete;
  };
  return { element, submit, button };
}

test('progress is shown in bytes, and a cancelled upload leaves the form as it was', async () => {
  const { element, submit, button } = await form(new FakePodApi());
  await submit();
  expect(element.textContent).toContain('500 kB of 1 MB');
  expect(button.disabled).toBe(true);
  element.querySelector('button')?.click();
  await Promise.resolve();
  await Promise.resolve();
  await element.updateComplete;
  expect(element.querySelector('.sending')).toBeNull();
  expect(element.querySelector('.error')).toBeNull();
  expect(button.disabled).toBe(false);
});

test('the reason of a refusal is shown as text', async () => {
  const api = new FakePodApi();
  api.refuse = new ApiError(415, 'not a video: <b>clip.mp4</b>');
  const { element, submit } = await form(api);
  await submit();
  await Promise.resolve();
  await element.updateComplete;
  expect(element.querySelector('.error')?.textContent).toBe('not a video: <b>clip.mp4</b>');
  expect(element.querySelector('b')).toBeNull();
});
