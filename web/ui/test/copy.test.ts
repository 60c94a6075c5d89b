import { expect, test } from 'vitest';

import { ApiError } from '../src/api.ts';
import { send } from '../src/copy-form.ts';
import { FakePodApi } from './fake-api.ts';

function form(what: string): HTMLFormElement {
  const form = document.createElement('form');
  Object.assign(form.dataset, { video: 'a', copy: what });
  const status = document.createElement('span');
  status.setAttribute('role', 'status');
  form.append(document.createElement('button'), status);
  return form;
}

test('the form keeps a copy or lets it go', async () => {
  const api = new FakePodApi();
  await send(form('keep'), api);
  await send(form('let-go'), api);
  expect(api.asked).toEqual(['keep a true', 'keep a false']);
});

test('a refusal is told in the words of the pod, and the button works again', async () => {
  const api = new FakePodApi();
  api.refuse = new ApiError(507, 'there is no room left on the disk');
  const refused = form('keep');
  await send(refused, api);
  expect(refused.textContent).toBe('there is no room left on the disk');
  expect(refused.querySelector('button')?.disabled).toBe(false);
});
