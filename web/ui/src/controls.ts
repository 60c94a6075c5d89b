// The player's controls: media-chrome's elements, in the markup that the server wrote into a <template> beside its <video>. Until they are here,
// and wherever they do not come, the browser's own controls do their work.

import 'media-chrome/dist/media-controller.js';
import 'media-chrome/dist/media-control-bar.js';
import 'media-chrome/dist/media-play-button.js';
import 'media-chrome/dist/media-mute-button.js';
import 'media-chrome/dist/media-volume-range.js';
import 'media-chrome/dist/media-time-range.js';
import 'media-chrome/dist/media-time-display.js';
import 'media-chrome/dist/media-captions-button.js';
import 'media-chrome/dist/media-playback-rate-button.js';
import 'media-chrome/dist/media-pip-button.js';
import 'media-chrome/dist/media-fullscreen-button.js';
import 'media-chrome/dist/media-loading-indicator.js';
import 'media-chrome/dist/media-gesture-receiver.js';
import type { MediaController } from 'media-chrome/dist/media-controller.js';

import { ownKey } from './player-keys.ts';

/**
 * Puts the controls around a player's <video>, if the server wrote any. Returns where pictures are laid over the video but under the controls.
 * `signal` ends what listens on the page.
 */
export function dress(player: HTMLElement, video: HTMLVideoElement, signal: AbortSignal): HTMLElement | undefined {
  const template = player.querySelector<HTMLTemplateElement>(':scope > template');
  if (!template || player.querySelector('media-controller')) return undefined;
  // Cloned, not imported: the elements come to life in the page, where they can measure themselves.
  player.append(template.content.cloneNode(true));
  const controller = player.querySelector<MediaController>('media-controller');
  if (!controller) return undefined;
  video.slot = 'media';
  // Moved within one task: a browser pauses a video that is gone from the page when the task ends, not one that moved.
  controller.prepend(video);
  video.controls = false;
  // All of the player fills the screen: what it says about trouble belongs to it.
  controller.fullscreenElement = player;
  // A button with a state is a switch to those who do not see it; media-chrome says "button".
  controller.querySelector('media-captions-button')?.setAttribute('role', 'switch');
  controller.setAttribute('aria-label', video.getAttribute('aria-label') ?? 'Video');
  document.addEventListener('keydown', (event) => key(event, controller, video), { signal });
  return controller;
}

/** Keys work wherever nothing else wants them: in the player, and on a page where nothing has the focus. */
function key(event: KeyboardEvent, controller: MediaController, video: HTMLVideoElement): void {
  const target = event.target as Element;
  const inside = controller.contains(target);
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || (!inside && target !== document.body && !target.matches('h1'))) return;
  const change = ownKey(event.key, { time: video.currentTime, duration: video.duration, paused: video.paused });
  // Bars have a use of their own for Home and End.
  if (change !== undefined && !(inside && /^(Home|End)$/.test(event.key) && target.localName.endsWith('-range'))) {
    event.preventDefault();
    video.currentTime = change;
  } else if (!inside && /^[kjlmfcp<>]$/.test(event.key)) {
    event.preventDefault();
    controller.keyboardShortcutHandler(event);
  }
}
