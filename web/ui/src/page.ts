// Small things on every page: links that do not leave the document, the search key, menus that close, copy buttons, forms that say they are on
// their way, times that stay true.

import { relative } from './format.ts';
import './live-part.ts';
import './new-videos.ts';
import { ARRIVE, navigateSoftly } from './soft-navigation.ts';

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches('input, textarea, select'));
}

function closeMenus(except?: Node): void {
  for (const menu of document.querySelectorAll<HTMLDetailsElement>('details.menu[open]')) {
    if (!except || !menu.contains(except)) menu.open = false;
  }
}

async function copy(text: string): Promise<void> {
  // Pages over plain http on another machine have no clipboard of their own.
  if (window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way there, and it still works
  document.execCommand('copy');
  area.remove();
}

function refreshTimes(): void {
  for (const time of document.querySelectorAll<HTMLTimeElement>('time.ago')) {
    const then = Date.parse(time.dateTime);
    const text = Number.isNaN(then) ? '' : relative(then, Date.now());
    if (text && text !== time.textContent) time.textContent = text;
  }
}

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') {
    const open = document.querySelector<HTMLDetailsElement>('details.menu[open]');
    const inside = open?.contains(document.activeElement);
    closeMenus();
    if (inside) open?.querySelector('summary')?.focus();
  }
  if (event.key === '/' && !event.ctrlKey && !event.metaKey && !event.altKey && !typing(event.target)) {
    const search = document.querySelector<HTMLInputElement>('.search input');
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  }
});

document.addEventListener('click', (event) => {
  const target = event.target as Element;
  closeMenus(target);
  const button = target.closest<HTMLButtonElement>('button[data-copy]');
  if (!button) return;
  const label = button.textContent;
  void copy(button.dataset.copy ?? '').then(
    () => { button.textContent = 'Copied'; },
    () => { button.textContent = 'Not copied'; },
  ).then(() => setTimeout(() => { button.textContent = label; }, 1_500));
});

/** What is on its way is not sent twice, and the button says that something happens: asking other pods takes seconds. */
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || form.dataset.busy === undefined || event.defaultPrevented) return;
  const button = event.submitter ?? form.querySelector('button[type="submit"]');
  if (!(button instanceof HTMLButtonElement)) return;
  const { textContent: label } = button;
  button.disabled = true;
  button.textContent = form.dataset.busy;
  // Back from the browser's memory of pages, the form can be used again.
  window.addEventListener('pageshow', () => {
    button.disabled = false;
    button.textContent = label;
  }, { once: true });
});

function dress(): void {
  for (const element of document.querySelectorAll<HTMLElement>('.needs-script')) element.hidden = false;
}

document.addEventListener(ARRIVE, dress);
document.addEventListener('seedpod:fresh', dress);
dress();
navigateSoftly();
setInterval(() => { if (!document.hidden) refreshTimes(); }, 30_000);
