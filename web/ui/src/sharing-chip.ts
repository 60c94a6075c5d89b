// The chip in the corner that says what this page goes on giving to others, with a button that ends it. There while there is something to say.

import { type Keepable, type KeptVideos, sharingText } from './kept-videos.ts';

const EVERY = 1_000;

/** Shows the chip for these videos from now on. */
export function showChip(kept: KeptVideos<Keepable>): void {
  const chip = Object.assign(document.createElement('aside'), { className: 'sharing-chip', hidden: true });
  chip.setAttribute('aria-label', 'Sharing');
  const words = document.createElement('span');
  const stop = Object.assign(document.createElement('button'), { type: 'button', className: 'button', textContent: 'Stop' });
  stop.setAttribute('aria-label', 'Stop sharing the videos you watched');
  stop.addEventListener('click', () => kept.stop());
  chip.append(words, stop);
  document.body.append(chip);
  window.addEventListener('pagehide', () => kept.stop());
  let timer: ReturnType<typeof setInterval> | undefined;
  const write = () => {
    const text = sharingText(kept.count, kept.given);
    if (words.textContent !== text) words.textContent = text;
  };
  kept.addEventListener('change', () => {
    chip.hidden = kept.count === 0;
    clearInterval(timer);
    if (chip.hidden) return;
    write();
    timer = setInterval(write, EVERY);
  });
}
