// Likes and dislikes without leaving the page, which would stop the video. The form works on its own as well.

import { ApiError } from './api.ts';
import { HttpPodApi } from './api-http.ts';

const api = new HttpPodApi();

/** Shows a rating as given: the pressed button, what each does next, and the numbers as they will be once all pods have heard. */
export function show(form: HTMLFormElement, given: string): void {
  for (const button of form.querySelectorAll<HTMLButtonElement>('button[data-rating]')) {
    const { rating } = button.dataset;
    const was = button.getAttribute('aria-pressed') === 'true';
    const is = rating === given;
    button.setAttribute('aria-pressed', String(is));
    button.value = is ? 'none' : rating ?? 'none';
    const number = button.querySelector<HTMLElement>('[data-count]');
    if (!number || was === is) continue;
    const count = Math.max(0, Number(number.dataset.count) + (is ? 1 : -1));
    number.dataset.count = String(count);
    number.textContent = count.toLocaleString('en');
  }
}

document.addEventListener('submit', (event) => {
  const form = event.target;
  const button = event.submitter;
  if (!(form instanceof HTMLFormElement) || !form.matches('form.rating') || !(button instanceof HTMLButtonElement)) return;
  event.preventDefault();
  const { value } = button;
  const status = form.querySelector('output');
  void api.rate(form.dataset.video ?? '', value).then(
    () => {
      show(form, value);
      if (status) status.textContent = '';
    },
    (error: unknown) => {
      if (status) status.textContent = error instanceof ApiError ? error.message : 'The pod did not take it.';
    },
  );
});
