// Small things on every page: the search key, menus that close, copy buttons, times that stay true.

import { relative } from './format.ts';

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

for (const element of document.querySelectorAll<HTMLElement>('.needs-script')) element.hidden = false;
setInterval(() => { if (!document.hidden) refreshTimes(); }, 30_000);
