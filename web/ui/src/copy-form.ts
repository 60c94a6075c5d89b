// Keeping a copy of a friend's video, and no more, without leaving the page, which would stop the video. The form works on its own as well.

import { ApiError, type PodApi } from './api.ts';
import { HttpPodApi } from './api-http.ts';
import { LivePart } from './live-part.ts';

/** Does what the form says, and shows what came of it. */
export async function send(form: HTMLFormElement, api: PodApi): Promise<void> {
  const [button, status] = [form.querySelector('button'), form.querySelector<HTMLElement>('[role="status"]')];
  if (button?.disabled) return;
  if (button) button.disabled = true;
  try {
    await api.keepCopy(form.dataset.video ?? '', form.dataset.copy === 'keep');
    const part = form.closest('live-part');
    if (part instanceof LivePart) await part.look(true);
  } catch (error) {
    if (status) status.textContent = error instanceof ApiError ? error.message : 'The pod did not take it.';
  } finally {
    if (button) button.disabled = false;
  }
}

const api = new HttpPodApi();

document.addEventListener('submit', (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || !form.matches('form.copy')) return;
  event.preventDefault();
  void send(form, api);
});
